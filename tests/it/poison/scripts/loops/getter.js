// end: killed cpu
return { get status() { for (;;) {} } };
