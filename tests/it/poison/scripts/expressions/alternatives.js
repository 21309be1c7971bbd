// end: killed cpu
return /^(a|a|b)*c$/.test("a".repeat(64));
