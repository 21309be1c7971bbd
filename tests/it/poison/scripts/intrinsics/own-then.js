// end: returned {"done":true}
return Object.create({ then: undefined }, { done: { value: true, enumerable: true } });
