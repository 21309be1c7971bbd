// end: threw 
// cpuMs: 20000
let text = "x";
for (;;) text += text;
