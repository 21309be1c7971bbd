// end: returned "early"
setTimeout(() => fetch("https://peer.example/"), 1);
Promise.resolve().then(() => fetch("https://peer.example/never").catch(() => {}));
return "early";
