// end: killed cpu
// console: the rest of the console was cut
for (;;) console.log("again");
