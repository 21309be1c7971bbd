// end: killed heap
// cpuMs: 20000
const registry = new FinalizationRegistry(() => {});
const all = [];
for (;;) { const thing = {}; all.push(thing); registry.register(thing, all); }
