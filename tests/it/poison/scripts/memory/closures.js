// end: killed heap
// cpuMs: 20000
let chain = () => null;
for (;;) { const before = chain; chain = () => before; }
