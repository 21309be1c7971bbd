// end: threw 
throw { get message() { throw this; } };
