// end: returned null
// console: xxxx
// heapMib: 128
// cpuMs: 5000
console.log("x".repeat(1e7));
