// end: killed heap
// cpuMs: 20000
let chain = null;
for (;;) chain = { chain };
