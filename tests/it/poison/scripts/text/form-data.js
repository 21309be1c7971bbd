// end: killed heap
// cpuMs: 20000
const form = new FormData();
for (let i = 0; ; i++) form.append(`name${i}`, "value".repeat(100));
