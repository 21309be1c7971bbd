// end: threw TypeError
// innocent: JSON.stringify({ a: 1 }) === '{"a":1}' ? "innocent" : "patched"
JSON.stringify = () => '{"status":"provisioned"}';
return 1;
