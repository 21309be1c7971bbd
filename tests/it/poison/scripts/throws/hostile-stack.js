// end: threw logic threw a value that cannot be described
throw Object.defineProperty(new Error("x"), "stack", { get() { throw new Error("no"); } });
