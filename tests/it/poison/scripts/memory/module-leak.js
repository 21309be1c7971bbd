// end: killed heap
// cpuMs: 20000
const kept = [];
export default async (ctx) => {
  if (!ctx.harm) return "innocent";
  for (;;) { kept.push(new Array(1000).fill(ctx)); if (kept.length % 100 === 0) await null; }
};
