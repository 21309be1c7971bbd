// end: killed cpu
return { then() { for (;;) {} } };
