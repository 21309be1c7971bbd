// end: killed heap
// cpuMs: 20000
return new Array(2 ** 31).fill(0).length;
