// end: killed heap
// cpuMs: 20000
const all = [];
for (;;) all.push(new Array(1000).fill({}));
