// end: refused 
module.exports = { get default() { for (;;) {} } };
