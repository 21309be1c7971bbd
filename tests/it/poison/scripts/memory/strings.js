// end: killed heap
// cpuMs: 20000
const all = [];
for (;;) all.push("x".repeat(100000) + all.length);
