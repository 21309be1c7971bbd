// Stands in for Deno's client class, which `Request` looks up for its option
// `client`. Nothing is an instance of it.
(function () {
return { HttpClientPrototype: { __proto__: null } };
})();
