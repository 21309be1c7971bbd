// end: threw AbortError
const stop = new AbortController();
setTimeout(() => stop.abort(), 10);
await fetch("https://peer.example/never", { signal: stop.signal });
