// end: returned null
// console: the rest of the console was cut: a run may write 200 lines
// cpuMs: 5000
for (let i = 0; i < 5000; i++) console.log(i);
