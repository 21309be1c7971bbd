// end: threw the limit of 1000 host calls in a run was reached
// cpuMs: 10000
for (;;) await fetch("https://peer.example/");
