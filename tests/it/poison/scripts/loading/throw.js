// end: refused logic threw at load
throw new Error("logic threw at load");
export default () => 1;
