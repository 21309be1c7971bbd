// Freezes every object that logic can reach and that is not its own: no run can
// change what another one meets.
//
// Freezing alone would break innocent code: assigning to a property that is
// read-only on the prototype throws (the "override mistake"). The properties
// that are commonly assigned on instances become accessors whose setter defines
// the property on the instance.
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

// The engine looks `constructor` up on these again and again (for species, for
// every `await`); an accessor would slow each look-up.
function looksUpConstructor(value) {
  return value === Promise.prototype || value === Array.prototype || value === RegExp.prototype ||
    value === ArrayBuffer.prototype || value === ReflectGetPrototypeOf(Uint8Array.prototype);
}

const ObjectPrototype = Object.prototype;
// Libraries that are functions have members of their own, such as lodash's `bind`.
const FunctionPrototype = Function.prototype;
const IteratorPrototype = ReflectGetPrototypeOf(ReflectGetPrototypeOf([][SymbolIterator]()));

function isAssigned(owner, key) {
  if (owner === ObjectPrototype) return key !== "__proto__";
  if (owner === IteratorPrototype && (key === SymbolIterator || key === SymbolToStringTag)) return true;
  if (owner === FunctionPrototype && key === "bind") return true;
  if (key === "constructor" && looksUpConstructor(owner)) return false;
  return typeof key === "string" && COMMON[key] === true;
}

// Objects with a `constructor` that names them as its prototype.
function isPrototype(value) {
  const constructor = ReflectGetOwnPropertyDescriptor(value, "constructor")?.value;
  return typeof constructor === "function" && ObjectHasOwn(constructor, "prototype") &&
    ObjectGetOwnPropertyDescriptor(constructor, "prototype").value === value;
}

function allowAssigning(owner, key, descriptor, found) {
  const { value, enumerable } = descriptor;
  const access = {
    get() {
      return value;
    },
    set(next) {
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
// names.
function freezeAll(scope, samples, more) {
  tameErrors();
  const frozen = new SafeSet();
  SetPrototypeAdd(frozen, scope);
  const found = more;
  const names = ReflectOwnKeys(scope);
  for (let i = 0; i < names.length; i++) push(found, ReflectGetOwnPropertyDescriptor(scope, names[i]));
  freezeFrom(found, frozen);
  // Made now, they cannot add to what is frozen.
  freezeFrom(shared(samples(), frozen), frozen);
  pin(scope);
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
  const assignable = isPrototype(value) || value === IteratorPrototype;
  const keys = ReflectOwnKeys(value);
  for (let i = 0; i < keys.length; i++) {
    const descriptor = ReflectGetOwnPropertyDescriptor(value, keys[i]);
    push(found, descriptor);
    const isData = ObjectHasOwn(descriptor, "value") && descriptor.configurable;
    if (assignable && isData && isAssigned(value, keys[i])) {
      allowAssigning(value, keys[i], descriptor, found);
    }
  }
  ObjectFreeze(value);
}

// The globals themselves can be added to, but not replaced.
function pin(scope) {
  const names = ReflectOwnKeys(scope);
  for (let i = 0; i < names.length; i++) {
    const descriptor = ReflectGetOwnPropertyDescriptor(scope, names[i]);
    if (!descriptor.configurable) continue;
    const pinned = ObjectHasOwn(descriptor, "value")
      ? { __proto__: null, writable: false, configurable: false }
      : { __proto__: null, configurable: false };
    ReflectDefineProperty(scope, names[i], pinned);
  }
}

return { freezeAll };
})();
