// end: returned true
// cpuMs: 5000
return "\u1e9b\u0323".repeat(20000).normalize("NFKD").length > 0;
