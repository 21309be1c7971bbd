// end: threw TypeError
// innocent: typeof fetch === "function" ? "innocent" : "patched"
globalThis.fetch = () => ({ ok: true });
const answer = await fetch("https://peer.example/");
return answer.ok;
