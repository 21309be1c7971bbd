// end: killed heap
// cpuMs: 20000
const all = [];
for (;;) { try { for (;;) all.push(new ArrayBuffer(2 ** 20)); } catch {} }
