// end: returned "like a variable of the module"
globalThis.fetch2 = fetch;
Object.defineProperty(globalThis, "undefined2", { get() { for (;;) {} } });
return "like a variable of the module";
