// end: killed heap
// cpuMs: 20000
const parameters = new URLSearchParams();
for (let i = 0; ; i++) parameters.append(`name${i}`, "value");
