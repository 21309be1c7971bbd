// end: killed cpu
return /^(.*?)\1+(.*?)\2+$/.test("ab".repeat(3000) + "c");
