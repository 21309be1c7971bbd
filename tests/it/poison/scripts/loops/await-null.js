// end: killed cpu
for (;;) await null;
