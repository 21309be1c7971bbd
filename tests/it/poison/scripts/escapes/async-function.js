// end: returned "undefined"
return (async () => {}).constructor("return typeof Deno")();
