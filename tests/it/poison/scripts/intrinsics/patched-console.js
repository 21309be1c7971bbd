// end: threw TypeError
console.log = () => {};
