// end: killed cpu
const sparse = [1];
sparse.length = 2 ** 32 - 1;
return sparse.flatMap((one) => one).length;
