// end: threw TypeError
await fetch("https://peer.example/", { signal: { aborted: false, addEventListener() {} } });
