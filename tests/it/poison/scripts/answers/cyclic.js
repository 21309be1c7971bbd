// end: threw the returned value cannot be written as JSON
const self = {};
self.self = self;
return self;
