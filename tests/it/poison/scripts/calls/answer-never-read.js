// end: returned 200
// heapMib: 128
// cpuMs: 5000
return (await fetch("https://peer.example/big")).status;
