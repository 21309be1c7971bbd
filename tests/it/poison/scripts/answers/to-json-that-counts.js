// end: returned {"n":1}
let n = 0;
return { toJSON() { n++; return { n }; } };
