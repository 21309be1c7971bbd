// end: killed cpu
for (;;) ctx.signal.addEventListener("abort", () => {});
