// end: threw 
// cpuMs: 20000
return "x".padStart(2 ** 30, "abc").length;
