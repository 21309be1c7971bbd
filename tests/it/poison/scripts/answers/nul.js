// end: returned "a\u0000b"
return "a\0b";
