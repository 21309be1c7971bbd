// end: threw logic threw a value that cannot be described
throw { get message() { throw new Error("no"); } };
