// end: threw TypeError
Object.defineProperty(Promise.prototype, "then", { get() { for (;;) {} } });
