// end: killed heap
// cpuMs: 20000
const all = [];
for (;;) all.push(await (await fetch("https://peer.example/big")).arrayBuffer());
