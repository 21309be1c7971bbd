// end: killed cpu
await fetch("https://peer.example/", { get method() { for (;;) {} } });
