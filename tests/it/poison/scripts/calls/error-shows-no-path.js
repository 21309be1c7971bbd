// end: returned false
try { await fetch("https://peer.example/refused"); } catch (error) { return /\.rs|\/(root|home|usr|work|tmp)/.test(`${error.stack}`); }
