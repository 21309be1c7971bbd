// end: threw RangeError
// cpuMs: 5000
let proxy = {};
for (let i = 0; i < 5e4; i++) proxy = new Proxy(proxy, {});
return proxy.x;
