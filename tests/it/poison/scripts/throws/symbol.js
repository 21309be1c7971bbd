// end: threw logic threw Symbol(x)
throw Symbol("x");
