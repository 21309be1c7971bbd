// end: killed heap
// cpuMs: 20000
const all = [];
const bytes = new Uint8Array(1e6);
for (;;) all.push(new TextDecoder("utf-16le").decode(bytes));
