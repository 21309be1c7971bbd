// end: threw RangeError
try { Error.stackTraceLimit = Infinity; } catch {}
const f = () => f() + 1;
return f();
