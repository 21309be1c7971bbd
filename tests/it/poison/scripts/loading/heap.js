// end: refused the heap limit of 32 MiB was reached
// cpuMs: 20000
const all = [];
for (;;) all.push(new Array(1000).fill(all.length));
export default () => all;
