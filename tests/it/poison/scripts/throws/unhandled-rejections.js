// end: returned null
// console: unhandled rejection: nobody looks
// cpuMs: 10000
for (let i = 0; i < 5000; i++) Promise.reject(new Error("nobody looks"));
await new Promise((resolve) => setTimeout(resolve, 20));
