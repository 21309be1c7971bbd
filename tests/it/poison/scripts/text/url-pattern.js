// end: returned false
return new URLPattern({ pathname: "/(a+)+b" }).test({ pathname: "/" + "a".repeat(40) });
