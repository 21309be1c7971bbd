// end: killed cpu
const stop = new AbortController();
const call = fetch("https://peer.example/never", { signal: stop.signal });
stop.abort({ get message() { for (;;) {} } });
await call;
