// end: threw ReferenceError
return (() => {}).constructor("return process")();
