// end: threw xxxx
throw new Error("x".repeat(1e6));
