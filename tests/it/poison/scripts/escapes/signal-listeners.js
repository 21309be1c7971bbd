// end: returned "own"
const target = new EventTarget();
let seen = "";
target.addEventListener("x", function (event) { seen = this === target && event.target === target ? "own" : "other"; });
target.dispatchEvent(new Event("x"));
return seen;
