// end: returned 2000021
// heapMib: 128
// cpuMs: 5000
return new URL("https://peer.example/" + "x".repeat(2e6)).href.length;
