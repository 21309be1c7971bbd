// end: threw RangeError
const f = async () => { await f(); };
return f();
