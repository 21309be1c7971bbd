// end: killed cpu
const sparse = [];
sparse.length = 2 ** 32 - 1;
return sparse.join("");
