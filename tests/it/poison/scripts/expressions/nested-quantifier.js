// end: killed cpu
return /^(a+)+$/.test("a".repeat(40) + "b");
