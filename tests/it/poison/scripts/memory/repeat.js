// end: threw 
// cpuMs: 20000
return "x".repeat(2 ** 30).length;
