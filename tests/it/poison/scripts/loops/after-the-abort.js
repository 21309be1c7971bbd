// end: limit wall
// wallMs: 700
try { await fetch("https://peer.example/never"); } catch { for (;;) {} }
