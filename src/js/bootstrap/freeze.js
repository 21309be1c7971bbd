// Freezes every object that logic can reach and that is not its own: no run can
// change what another one meets.
//
// Freezing alone would break innocent code: assigning to a property that is
// read-only on the prototype throws (the "override mistake"). What objects and
// subclasses may want to have of their own becomes an accessor, whose setter
// defines the property on the one that it is assigned to. Reading it costs a call,
// about 20 ns.
(function () {
const { primordials } = __bootstrap;
const {
  ArrayPrototypePush,
  MapPrototypeGet,
  MapPrototypeSet,
  ObjectFreeze,
  ObjectGetOwnPropertyDescriptor,
  ObjectHasOwn,
  ReflectApply,
  ReflectDefineProperty,
  ReflectGetOwnPropertyDescriptor,
  ReflectGetPrototypeOf,
  ReflectOwnKeys,
  SafeMap,
  SafeSet,
  SetPrototypeAdd,
  SetPrototypeForEach,
  SetPrototypeHas,
  String,
  SymbolIterator,
  SymbolToStringTag,
  TypeError,
} = primordials;

// Assigned on instances of any class.
const COMMON = {
  __proto__: null,
  constructor: true,
  message: true,
  name: true,
  toJSON: true,
  toLocaleString: true,
  toString: true,
  valueOf: true,
};

const ObjectPrototype = Object.prototype;
const IteratorPrototype = ReflectGetPrototypeOf(ReflectGetPrototypeOf([][SymbolIterator]()));
const AsyncIteratorPrototype = ReflectGetPrototypeOf(ReflectGetPrototypeOf(async function* () {}.prototype));

// Values of these have no properties of their own, and their methods are called
// more than any others.
const PRIMITIVES = new SafeSet([
  String.prototype,
  Number.prototype,
  Boolean.prototype,
  Symbol.prototype,
  BigInt.prototype,
]);

// Which properties of an object may be assigned on what inherits from it.
function assignable(owner) {
  if (owner === ObjectPrototype) return (key) => key !== "__proto__";
  if (owner === console) return () => true;
  if (owner === AsyncIteratorPrototype || ObjectHasOwn(owner, "next")) return () => true;
  if (isPrototype(owner)) {
    return SetPrototypeHas(PRIMITIVES, owner) ? (key) => typeof key === "string" && COMMON[key] === true : () => true;
  }
  return isConstructor(owner) ? () => true : null;
}

function isConstructor(value) {
  return typeof value === "function" && ObjectHasOwn(value, "prototype") &&
    isPrototype(ObjectGetOwnPropertyDescriptor(value, "prototype").value);
}

// Objects with a `constructor` that names them as its prototype.
function isPrototype(value) {
  if (!isObject(value)) return false;
  // The one whose `constructor` is an accessor in the language.
  if (value === IteratorPrototype) return true;
  const found = ReflectGetOwnPropertyDescriptor(value, "constructor");
  const constructor = found?.get === undefined ? found?.value : found.get.originalValue;
  return typeof constructor === "function" && ObjectHasOwn(constructor, "prototype") &&
    ObjectGetOwnPropertyDescriptor(constructor, "prototype").value === value;
}

// `core-js`, which many packages bring along, assigns this whenever it is loaded, only
// to hide what it has repaired. It has no effect.
function isRepaired(owner, key) {
  return owner === Function.prototype && key === "toString";
}

function allowAssigning(owner, key, descriptor, found) {
  const { value, enumerable } = descriptor;
  const access = {
    get() {
      return value;
    },
    set(next) {
      // As in `Date.now = Date.now || polyfill`.
      if (this === owner && (next === value || isRepaired(owner, key))) return;
      if (this === owner || (typeof this !== "object" && typeof this !== "function") || this === null) {
        throw new TypeError(`cannot assign to read-only property '${String(key)}'`);
      }
      const own = { __proto__: null, value: next, writable: true, enumerable: true, configurable: true };
      if (!ReflectDefineProperty(this, key, own)) {
        throw new TypeError(`cannot define property '${String(key)}'`);
      }
    },
  };
  ArrayPrototypePush(found, access.get, access.set);
  // How it is told by convention that this stands for a plain property: packages
  // that look into descriptors go by it.
  ReflectDefineProperty(access.get, "originalValue", { __proto__: null, value });
  ReflectDefineProperty(owner, key, {
    __proto__: null,
    get: access.get,
    set: access.set,
    enumerable,
    configurable: false,
  });
}

// User code must not steer how stacks of other runs look.
function tameErrors() {
  const names = ["prepareStackTrace", "stackTraceLimit"];
  for (let i = 0; i < names.length; i++) {
    const value = names[i] === "stackTraceLimit" ? 10 : undefined;
    ReflectDefineProperty(Error, names[i], {
      __proto__: null,
      get: () => value,
      set: () => {},
      enumerable: false,
      configurable: false,
    });
  }
}

// `samples` makes some of all that logic can have, `more` are values that no global
// names, `web` are the names of the globals that are not the language's.
function freezeAll(scope, samples, more, web) {
  tameErrors();
  const frozen = new SafeSet();
  SetPrototypeAdd(frozen, scope);
  const found = more;
  const names = ReflectOwnKeys(scope);
  for (let i = 0; i < names.length; i++) push(found, ReflectGetOwnPropertyDescriptor(scope, names[i]));
  freezeFrom(found, frozen);
  // Made now, they cannot add to what is frozen.
  freezeFrom(shared(samples(), frozen), frozen);
  pin(scope, web);
}

function freezeFrom(found, frozen) {
  for (let i = 0; i < found.length; i++) {
    const value = found[i];
    if (!isObject(value) || SetPrototypeHas(frozen, value)) continue;
    SetPrototypeAdd(frozen, value);
    freezeOne(value, found);
  }
}

function isObject(value) {
  return (typeof value === "object" || typeof value === "function") && value !== null;
}

function push(found, { value, get, set }) {
  if (isObject(value)) {
    ArrayPrototypePush(found, value);
  } else if (get !== undefined || set !== undefined) {
    ArrayPrototypePush(found, get, set);
  }
}

// Instances of a class that are asked what their accessors give. Not all have the
// same inside: a stream may be read, or of bytes.
const ASKED = 8;

// The functions and prototypes that samples lead to: classes that no global
// names, and what they are made of. The instances stay as they are.
function shared(found, frozen) {
  const seen = new SafeSet();
  const classes = new SafeMap();
  const shared = [];
  for (let i = 0; i < found.length; i++) {
    const value = found[i];
    if (!isObject(value) || SetPrototypeHas(frozen, value) || SetPrototypeHas(seen, value)) continue;
    SetPrototypeAdd(seen, value);
    const getters = accessorsOf(value, found);
    if (typeof value === "function") {
      ArrayPrototypePush(shared, value);
      continue;
    }
    const prototype = ReflectGetPrototypeOf(value);
    ArrayPrototypePush(shared, prototype);
    // A prototype's own accessors are its instances' to answer.
    if (!ObjectHasOwn(value, "constructor")) ask(value, getters, found);
    if (prototype === null || prototype === ObjectPrototype) continue;
    const known = MapPrototypeGet(classes, prototype) ?? { asked: 0, getters: inherited(prototype) };
    MapPrototypeSet(classes, prototype, known);
    if (known.asked++ < ASKED) ask(value, known.getters, found);
  }
  return shared;
}

function inherited(prototype) {
  const getters = [];
  for (let owner = prototype; owner !== null && owner !== ObjectPrototype; owner = ReflectGetPrototypeOf(owner)) {
    const own = accessorsOf(owner, []);
    for (let i = 0; i < own.length; i++) ArrayPrototypePush(getters, own[i]);
  }
  return getters;
}

// Adds what an object has, and answers with the getters among it.
function accessorsOf(value, found) {
  ArrayPrototypePush(found, ReflectGetPrototypeOf(value));
  const getters = [];
  const keys = ReflectOwnKeys(value);
  for (let i = 0; i < keys.length; i++) {
    const descriptor = ReflectGetOwnPropertyDescriptor(value, keys[i]);
    push(found, descriptor);
    if (descriptor.get !== undefined) ArrayPrototypePush(getters, descriptor.get);
  }
  return getters;
}

function ask(value, getters, found) {
  for (let i = 0; i < getters.length; i++) ArrayPrototypePush(found, given(value, getters[i]));
}

function given(value, get) {
  try {
    return ReflectApply(get, value, []);
  } catch {
    // It is no accessor of this kind of object.
    return undefined;
  }
}

function freezeOne(value, found) {
  ArrayPrototypePush(found, ReflectGetPrototypeOf(value));
  const isAssigned = assignable(value);
  const keys = ReflectOwnKeys(value);
  for (let i = 0; i < keys.length; i++) {
    const descriptor = ReflectGetOwnPropertyDescriptor(value, keys[i]);
    push(found, descriptor);
    if (isAssigned === null || !descriptor.configurable || !ObjectHasOwn(descriptor, "value")) continue;
    // Where it is read-only anyway, in every engine, it stays so.
    const isOpen = descriptor.writable || (value === IteratorPrototype && keys[i] === SymbolToStringTag);
    if (isOpen && isAssigned(keys[i])) allowAssigning(value, keys[i], descriptor, found);
  }
  ObjectFreeze(value);
}

// The globals themselves can be added to, but not replaced. What inherits from the
// global object may have its own `fetch` and what belongs to it.
function pin(scope, web) {
  const names = ReflectOwnKeys(scope);
  const made = [];
  for (let i = 0; i < names.length; i++) {
    const descriptor = ReflectGetOwnPropertyDescriptor(scope, names[i]);
    if (!descriptor.configurable) continue;
    if (ObjectHasOwn(web, names[i])) {
      allowAssigning(scope, names[i], descriptor, made);
      continue;
    }
    const pinned = ObjectHasOwn(descriptor, "value")
      ? { __proto__: null, writable: false, configurable: false }
      : { __proto__: null, configurable: false };
    ReflectDefineProperty(scope, names[i], pinned);
  }
  for (let i = 0; i < made.length; i++) ObjectFreeze(made[i]);
}

return { freezeAll };
})();
