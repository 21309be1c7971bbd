// end: killed cpu
return [2, 1].sort(() => { for (;;) {} });
