// end: limit wall
// wallMs: 700
const key = await crypto.subtle.importKey("raw", new Uint8Array(8), "PBKDF2", false, ["deriveBits"]);
const all = Array.from({ length: 8 }, () => crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-512", salt: new Uint8Array(8), iterations: 2 ** 31 }, key, 512));
await Promise.all(all);
return "derived";
