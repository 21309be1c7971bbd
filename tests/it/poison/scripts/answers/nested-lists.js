// end: limit the limit of 127 levels of nesting for the returned value was reached
return JSON.parse("[".repeat(150) + "]".repeat(150));
