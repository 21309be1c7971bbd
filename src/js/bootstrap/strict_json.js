// What logic returns, as JSON. Where `JSON.stringify` would write null or leave
// something out, which then erases or loses what was meant, it fails instead and
// names the member.
(function () {
const { core, primordials } = __bootstrap;
const {
  ArrayIsArray,
  ArrayPrototypeJoin,
  ArrayPrototypePop,
  ArrayPrototypePush,
  JSONStringify,
  NumberIsFinite,
  NumberPrototypeValueOf,
  ObjectKeys,
  ObjectPrototype,
  ObjectPrototypeToString,
  ReflectGetPrototypeOf,
  String,
  StringPrototypeSlice,
} = primordials;
const { HostCallError, whole } = core.loadExtScript("ext:provisiond/thrown.js");

// How much of a path is shown.
const MAX_PATH = 256;

// Why JSON cannot say a member, null when it can. `value` is what its `toJSON`
// gave, if it has one.
function fault(holder, key, value) {
  switch (typeof value) {
    case "string":
    case "boolean":
      return null;
    case "number":
      return NumberIsFinite(value) ? null : `is ${value}, which is no number in JSON`;
    case "undefined":
      if (ArrayIsArray(holder)) return "is undefined: leave it out of the array, or write null";
      return holder[key] === undefined ? null : "is an object whose `toJSON` gives nothing";
    case "object":
      return value === null ? faultOfNull(holder[key]) : faultOfObject(value);
    case "bigint":
      return "is a BigInt: write it as a string";
    default:
      return `is a ${typeof value}, which JSON cannot say`;
  }
}

function faultOfNull(original) {
  if (original === null) return null;
  return core.isDate(original) ? "is an invalid date" : "is an object whose `toJSON` gives null, such as an invalid date";
}

function faultOfObject(value) {
  if (ArrayIsArray(value)) return null;
  const prototype = ReflectGetPrototypeOf(value);
  if (prototype === ObjectPrototype || prototype === null) return null;
  if (core.isBoxedPrimitive(value)) return faultOfBoxed(value);
  const kind = StringPrototypeSlice(ObjectPrototypeToString(value), 8, -1);
  if (kind === "Object") return null;
  if (ObjectKeys(value).length > 0 && !core.isMap(value) && !core.isSet(value)) return null;
  if (core.isPromise(value)) return "is a promise: an `await` is missing";
  return `is an object of the class ${kind}, of which JSON keeps nothing: make an array or a plain object of it`;
}

function faultOfBoxed(value) {
  if (core.isNumberObject(value)) return fault(null, "", NumberPrototypeValueOf(value));
  if (core.isBigIntObject(value)) return fault(null, "", 0n);
  return core.isSymbolObject(value) ? "is a symbol, which JSON cannot say" : null;
}

// Thrown at the first fault; where it is is looked for afterwards.
const FAULTY = { __proto__: null };

function check(key, value) {
  if (fault(this, key, value) !== null) throw FAULTY;
  return value;
}

// `what` names the whole, `within` how its members are told to be in it.
function stringify(value, what, within) {
  if (value === undefined) return "null";
  try {
    return whole(JSONStringify(value, check));
  } catch (error) {
    throw error === FAULTY ? located(value, what, within) : error;
  }
}

function located(value, what, within) {
  const holders = [];
  const steps = [];
  let found = `${what} has a member that JSON cannot say`;
  try {
    JSONStringify(value, function (key, member) {
      while (holders.length > 0 && holders[holders.length - 1] !== this) {
        ArrayPrototypePop(holders);
        ArrayPrototypePop(steps);
      }
      const step = holders.length === 0 ? "" : ArrayIsArray(this) ? `[${key}]` : `.${key}`;
      ArrayPrototypePush(steps, step);
      const why = fault(this, key, member);
      if (why !== null) {
        found = `${named(ArrayPrototypeJoin(steps, ""), what, within)} ${why}`;
        throw FAULTY;
      }
      if (typeof member === "object" && member !== null) {
        ArrayPrototypePush(holders, member);
      } else {
        ArrayPrototypePop(steps);
      }
      return member;
    });
  } catch (error) {
    if (error !== FAULTY) return error;
  }
  return new HostCallError(found, "logic");
}

function named(path, what, within) {
  if (path === "") return what;
  const start = path[0] === "." ? 1 : 0;
  return `\`${StringPrototypeSlice(String(path), start, start + MAX_PATH)}\` ${within}`;
}

return { stringify };
})();
