// end: killed heap
// cpuMs: 20000
await Promise.allSettled(Array.from({ length: 50000 }, () => fetch("https://peer.example/")));
