// end: threw the returned value cannot be written as JSON: TypeError: it is a symbol
return Symbol("x");
