// end: killed cpu
const self = { then(resolve) { resolve(self); } };
return self;
