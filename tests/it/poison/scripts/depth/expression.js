// end: threw 
// cpuMs: 5000
return new Function("return " + "(".repeat(1e5) + "1" + ")".repeat(1e5))();
