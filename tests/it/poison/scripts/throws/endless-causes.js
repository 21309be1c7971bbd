// end: threw first
throw Object.assign(new Error("first"), { get cause() { return { __proto__: null, get cause() { return this; } }; } });
