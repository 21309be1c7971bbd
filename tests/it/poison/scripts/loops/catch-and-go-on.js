// end: killed cpu
for (;;) { try { for (;;) {} } catch {} finally { continue; } }
