// end: threw ReferenceError
return (0, eval)("Deno.core.ops");
