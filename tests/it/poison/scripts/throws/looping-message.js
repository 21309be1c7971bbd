// end: killed cpu
throw { get message() { for (;;) {} } };
