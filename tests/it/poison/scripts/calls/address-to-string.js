// end: killed cpu
await fetch({ toString() { for (;;) {} } });
