// end: threw the returned value is a BigInt
return 1n;
