// end: threw AggregateError: many
// cpuMs: 5000
throw new AggregateError(new Array(1e4).fill(new Error("one")), "many");
