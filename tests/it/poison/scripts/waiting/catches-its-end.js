// end: limit wall
// wallMs: 500
for (;;) { try { await fetch("https://peer.example/never"); } catch { await null; } }
