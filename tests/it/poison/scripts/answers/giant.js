// end: limit the limit of 1 MiB for the returned value was reached
return "x".repeat(2e6);
