// end: threw RangeError
const thing = { get self() { return this.self; } };
return thing.self;
