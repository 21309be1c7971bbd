// end: returned 3
class Mine extends Array { static get [Symbol.species]() { return function () { return {}; }; } }
return [1, 2, 3].map((one) => one).length;
