// end: threw SyntaxError
// cpuMs: 5000
return new RegExp("(".repeat(1e5) + ")".repeat(1e5));
