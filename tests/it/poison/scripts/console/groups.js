// end: returned null
// console: deep
// cpuMs: 5000
for (let i = 0; i < 1e5; i++) console.group();
console.log("deep");
