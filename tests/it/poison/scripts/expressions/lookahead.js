// end: killed cpu
return /(?=(a+)+b)(?=(a+)+c)x/.test("a".repeat(48));
