// end: returned null
// cpuMs: 5000
let deep = {};
for (let i = 0; i < 1e4; i++) deep = { deep };
console.log(deep);
