// end: killed cpu
return {} instanceof { [Symbol.hasInstance]() { for (;;) {} } };
