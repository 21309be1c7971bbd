// end: returned []
// cpuMs: 10000
const found = [];
const seen = new Set();
const look = (thing, path) => {
  if ((typeof thing !== "object" && typeof thing !== "function") || thing === null || seen.has(thing) || path.length > 6) return;
  seen.add(thing);
  for (const key of Reflect.ownKeys(thing)) {
    if (/^(ops|core|primordials|op_|Deno|__boot)/.test(String(key))) found.push([...path, String(key)].join("."));
    let value;
    try { value = thing[key]; } catch { continue; }
    look(value, [...path, String(key)]);
  }
  look(Object.getPrototypeOf(thing), [...path, "__proto__"]);
};
look(globalThis, []);
look(ctx, ["ctx"]);
return found;
