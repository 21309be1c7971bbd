// end: limit the limit of 127 levels of nesting for the returned value was reached
let deep = {};
for (let i = 0; i < 200; i++) deep = { deep };
return deep;
