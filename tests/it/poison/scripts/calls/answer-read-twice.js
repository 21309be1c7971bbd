// end: threw TypeError
const answer = await fetch("https://peer.example/");
await answer.text();
await answer.text();
