// end: killed cpu
return { valueOf() { for (;;) {} } } < 1;
