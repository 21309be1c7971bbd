// end: threw around
const error = new Error("around");
error.cause = error;
throw error;
