// end: limit the limit of 1 MiB for the returned value was reached
return "\u20ac".repeat(500000);
