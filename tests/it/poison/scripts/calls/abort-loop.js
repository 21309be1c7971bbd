// end: returned 200
// cpuMs: 10000
for (let i = 0; i < 500; i++) {
  const stop = new AbortController();
  const call = fetch("https://peer.example/never", { signal: stop.signal });
  stop.abort();
  await call.catch(() => {});
}
return (await fetch("https://peer.example/")).status;
