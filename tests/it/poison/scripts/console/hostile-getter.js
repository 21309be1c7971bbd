// end: returned null
console.log({ get a() { throw new Error("no"); }, get b() { return 1; } });
