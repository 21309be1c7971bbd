// end: limit wall
// wallMs: 500
for (;;) await new Promise((resolve) => setTimeout(resolve, 1));
