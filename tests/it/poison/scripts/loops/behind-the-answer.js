// end: killed cpu
(async () => { for (;;) await null; })();
return "answered";
