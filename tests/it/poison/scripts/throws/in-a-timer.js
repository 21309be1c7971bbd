// end: returned "on"
// console: uncaught in a callback of setTimeout
setTimeout(() => { throw new Proxy({}, {}); }, 0);
await new Promise((resolve) => setTimeout(resolve, 20));
return "on";
