// end: threw TypeError
let first = true;
await fetch("https://peer.example/", { get method() { const now = first ? "GET" : "B\r\nAD"; first = false; return now; }, get body() { return "x"; } });
