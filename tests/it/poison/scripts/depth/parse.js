// end: threw 
// cpuMs: 5000
return JSON.parse("[".repeat(1e6));
