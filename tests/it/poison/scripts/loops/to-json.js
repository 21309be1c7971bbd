// end: killed cpu
return { toJSON() { for (;;) {} } };
