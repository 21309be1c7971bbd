// end: threw TypeError
// heapMib: 128
// cpuMs: 5000
return new URL("https://" + "[".repeat(1e6));
