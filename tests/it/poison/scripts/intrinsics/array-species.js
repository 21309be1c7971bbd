// end: threw TypeError
Object.defineProperty(Array, Symbol.species, { get() { for (;;) {} } });
