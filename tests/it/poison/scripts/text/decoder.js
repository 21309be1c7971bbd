// end: returned 10000000
// heapMib: 128
// cpuMs: 5000
return new TextDecoder().decode(new Uint8Array(1e7)).length;
