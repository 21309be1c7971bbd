// end: threw ReferenceError
return ctx.constructor.constructor("return process.env")();
