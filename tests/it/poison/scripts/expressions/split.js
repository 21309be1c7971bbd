// end: killed cpu
return ("1".repeat(64) + "-").split(/(\d+)*,/);
