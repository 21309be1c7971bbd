// end: killed heap
// cpuMs: 20000
const all = [ctx.signal];
for (;;) all.push(AbortSignal.any(all.slice(-50)));
