// end: threw RangeError
const f = () => f() + 1;
return f();
