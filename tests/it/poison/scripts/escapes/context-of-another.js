// end: returned "none"
let kept = null;
export default async (ctx) => {
  if (!ctx.harm) { const had = kept; kept = ctx; return had === null || had !== ctx ? "innocent" : "shared"; }
  return kept === null ? "none" : "the context of an earlier run";
};
