// end: threw the limit of 64 MiB for requests on their way from a host was reached
// cpuMs: 20000
// heapMib: 256
const body = "x".repeat(1e7);
await Promise.all(Array.from({ length: 8 }, () => fetch("https://peer.example/never", { method: "POST", body })));
