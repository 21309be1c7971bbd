// end: threw the returned value is -Infinity
return -Infinity;
