// end: killed heap
// cpuMs: 20000
for (;;) queueMicrotask(() => {});
