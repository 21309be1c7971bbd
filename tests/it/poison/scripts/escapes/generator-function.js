// end: returned "undefined"
return (function* () {}).constructor("return typeof __bootstrap")().next().value;
