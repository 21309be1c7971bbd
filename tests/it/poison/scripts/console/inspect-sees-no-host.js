// end: returned "undefined undefined"
let seen = "";
console.log({ [Symbol.for("Deno.customInspect")](inspect, options) { seen = `${typeof options?.core} ${typeof inspect?.constructor?.constructor("return typeof Deno")().core}`; return ""; } });
return seen;
