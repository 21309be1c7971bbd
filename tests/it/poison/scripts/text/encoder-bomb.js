// end: killed heap
// cpuMs: 20000
const all = [];
for (;;) all.push(new TextEncoder().encode("\u20ac".repeat(1e5)));
