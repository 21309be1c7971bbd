// end: killed cpu
console.log({ [Symbol.for("Deno.customInspect")]() { for (;;) {} } });
