// end: limit wall
// wallMs: 500
await new Promise(() => {});
