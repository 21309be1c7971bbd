// end: threw TypeError
await fetch("https://peer.example/", { method: "GET / HTTP/1.1\r\nx: y\r\n" });
