// end: killed cpu
let product = 1n;
for (let factor = 1n; ; factor++) product *= factor;
