// end: limit wall
// wallMs: 1500
// cpuMs: 5000
await Promise.all(Array.from({ length: 1000 }, () => fetch("https://peer.example/never")));
