// end: returned []
const names = ["Deno", "__bootstrap", "process", "require", "global", "window", "self", "gc", "WebAssembly", "SharedArrayBuffer", "Atomics", "Worker", "ShadowRealm", "__provisiond", "__v8x", "importScripts", "XMLHttpRequest", "WebSocket", "std", "os", "bjson", "print", "scriptArgs", "navigator"];
return names.filter((name) => new Function(`return typeof ${name} !== "undefined"`)());
