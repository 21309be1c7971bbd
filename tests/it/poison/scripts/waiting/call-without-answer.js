// end: limit wall
// wallMs: 500
return (await fetch("https://peer.example/never")).status;
