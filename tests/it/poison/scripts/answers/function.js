// end: threw the returned value is a function
return () => {};
