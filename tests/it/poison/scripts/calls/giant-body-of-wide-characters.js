// end: threw the limit of 10485760 bytes for a request body was reached
// heapMib: 128
// cpuMs: 5000
await fetch("https://peer.example/", { method: "POST", body: "\u20ac".repeat(4e6) });
