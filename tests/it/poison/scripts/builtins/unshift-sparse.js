// end: killed cpu
const sparse = [];
sparse.length = 2 ** 32 - 2;
sparse.unshift(1);
return sparse.length;
