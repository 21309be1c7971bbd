// end: threw logic threw a value that cannot be described
const trap = () => { throw new Error("no"); };
throw new Proxy({}, { get: trap, ownKeys: trap, getPrototypeOf: trap });
