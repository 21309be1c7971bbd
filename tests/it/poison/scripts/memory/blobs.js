// end: killed heap
// cpuMs: 20000
const all = [];
for (;;) all.push(new Blob([new Uint8Array(2 ** 20)]));
