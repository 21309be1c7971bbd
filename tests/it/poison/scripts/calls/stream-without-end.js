// end: threw the limit of 10485760 bytes for a request body was reached
// heapMib: 128
// cpuMs: 20000
const body = new ReadableStream({ pull(controller) { controller.enqueue(new Uint8Array(65536)); } });
await fetch("https://peer.example/", { method: "POST", body, duplex: "half" });
