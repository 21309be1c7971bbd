// end: killed heap
// cpuMs: 20000
let all = [1, 2, 3];
for (;;) all = [...all, ...all];
