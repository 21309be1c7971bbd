// end: threw TypeError
await fetch("https://peer.example/", { headers: { "x-a": "b\r\nx-injected: c" } });
