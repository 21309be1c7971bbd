// end: returned null
// cpuMs: 5000
console.log("%s%d%o%c".repeat(1e4), {}, 1n, Symbol("x"));
