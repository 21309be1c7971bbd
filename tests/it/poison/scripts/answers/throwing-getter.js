// end: threw the returned value cannot be written as JSON: no
return { get status() { throw new Error("no"); } };
