// end: threw the returned value cannot be written as JSON: TypeError: it is a function
return () => {};
