// end: returned "undefined"
let seen = "undefined";
try { Error.prepareStackTrace = (_, sites) => { seen = typeof sites?.[0]?.getThis?.()?.fetch; return ""; }; } catch {}
new Error("x").stack;
return seen;
