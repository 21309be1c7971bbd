// end: killed cpu
return ("x".repeat(60) + "!").replace(/(x+x+)+y/g, () => "");
