// end: threw 
// cpuMs: 5000
// heapMib: 64
let deep = {};
for (let i = 0; i < 1e5; i++) deep = { deep };
return deep;
