// end: killed cpu
return Array.from({ length: 2 ** 31 }, () => { for (;;) {} });
