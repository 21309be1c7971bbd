// end: killed heap
// cpuMs: 20000
let thing = [1];
for (;;) thing = [structuredClone(thing), structuredClone(thing)];
