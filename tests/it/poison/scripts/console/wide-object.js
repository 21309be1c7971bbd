// end: returned null
// cpuMs: 10000
// heapMib: 128
console.log(new Array(1e6).fill("x"), Object.fromEntries(Array.from({ length: 1e4 }, (_, i) => [i, i])));
