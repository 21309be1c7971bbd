// end: limit wall
// wallMs: 500
const body = new ReadableStream({ pull() { return new Promise(() => {}); } });
await fetch("https://peer.example/", { method: "POST", body, duplex: "half" });
