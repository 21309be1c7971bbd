// end: killed heap
// cpuMs: 20000
for (;;) setTimeout(() => {}, 1e9);
