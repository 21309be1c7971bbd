// end: threw RangeError
return (7n ** 2000000n).toString().length;
