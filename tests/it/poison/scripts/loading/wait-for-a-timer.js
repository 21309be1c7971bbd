// end: refused the wall limit of 600 ms was reached while the logic was loaded
// wallMs: 600
await new Promise((resolve) => setTimeout(resolve, 1e8));
export default () => 1;
