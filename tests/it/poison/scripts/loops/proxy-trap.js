// end: killed cpu
return new Proxy({}, { get() { for (;;) {} } }).anything;
