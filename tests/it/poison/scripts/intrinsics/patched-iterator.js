// end: threw TypeError
Array.prototype[Symbol.iterator] = function* () { for (;;) yield 1; };
