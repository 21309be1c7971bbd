// end: threw the returned value is a symbol
return Symbol("x");
