// end: limit wall
// wallMs: 500
setInterval(() => {}, 1);
await new Promise(() => {});
