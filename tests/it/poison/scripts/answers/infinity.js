// end: returned null
return -Infinity;
