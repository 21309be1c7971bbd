// end: threw the limit of 1 MiB for the address and header fields of a request was reached
// heapMib: 128
// cpuMs: 5000
await fetch("https://peer.example/?" + "x".repeat(2e6));
