// end: threw the limit of 1000 host calls in a run was reached
// cpuMs: 10000
// heapMib: 64
await Promise.all(Array.from({ length: 1500 }, () => fetch("https://peer.example/")));
