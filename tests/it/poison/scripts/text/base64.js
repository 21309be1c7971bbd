// end: threw 
// cpuMs: 5000
return atob("=".repeat(1e6));
