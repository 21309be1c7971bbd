// end: killed cpu
return Array.prototype.copyWithin.call({ length: 2 ** 53 - 1 }, 1);
