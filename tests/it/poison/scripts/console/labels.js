// end: killed heap
// cpuMs: 20000
for (let i = 0; ; i++) console.time("label".repeat(50) + i);
