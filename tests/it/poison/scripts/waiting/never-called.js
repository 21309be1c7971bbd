// end: limit wall
// wallMs: 500
return { then() {} };
