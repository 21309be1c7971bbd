// end: refused a top-level `await` never settles
await new Promise(() => {});
export default () => 1;
