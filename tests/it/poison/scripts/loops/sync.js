// end: killed cpu
for (;;) {}
