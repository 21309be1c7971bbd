// end: returned "safe"
const parsed = JSON.parse('{"__proto__":{"polluted":true}}');
Object.assign({}, parsed);
structuredClone(parsed);
return ({}).polluted === undefined ? "safe" : "polluted";
