// end: returned null
const trap = () => { throw new Error("no"); };
try { console.log(new Proxy({}, { get: trap, ownKeys: trap, getPrototypeOf: trap, getOwnPropertyDescriptor: trap })); } catch {}
