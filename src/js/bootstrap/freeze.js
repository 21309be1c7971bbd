// Freezes every object that logic can reach without making one: no run can
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
  ObjectFreeze,
  ObjectGetOwnPropertyDescriptor,
  ObjectHasOwn,
  ReflectDefineProperty,
  ReflectGetOwnPropertyDescriptor,
  ReflectGetPrototypeOf,
  ReflectOwnKeys,
  SafeSet,
  SetPrototypeAdd,
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

// Intrinsics that no global names.
function hidden() {
  async function* asyncGenerator() {}
  function* generator() {}
  return [
    ReflectGetPrototypeOf(async function () {}),
    ReflectGetPrototypeOf(generator),
    ReflectGetPrototypeOf(asyncGenerator),
    generator.prototype,
    asyncGenerator.prototype,
    ReflectGetPrototypeOf(async () => {}),
    ReflectGetPrototypeOf(new Map()[SymbolIterator]()),
    ReflectGetPrototypeOf(new Set()[SymbolIterator]()),
    ReflectGetPrototypeOf([][SymbolIterator]()),
    ReflectGetPrototypeOf(""[SymbolIterator]()),
    ReflectGetPrototypeOf("".matchAll(/x/g)),
    ReflectGetPrototypeOf(new URLSearchParams()[SymbolIterator]()),
    ReflectGetPrototypeOf(new Headers()[SymbolIterator]()),
    ReflectGetPrototypeOf(new FormData()[SymbolIterator]()),
    ReflectGetPrototypeOf(Iterator.from({ next() {} })),
    ReflectGetPrototypeOf([].values().map((value) => value)),
  ];
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

function freezeAll(scope) {
  tameErrors();
  const seen = new SafeSet();
  const found = hidden();
  SetPrototypeAdd(seen, scope);
  const names = ReflectOwnKeys(scope);
  for (let i = 0; i < names.length; i++) {
    const descriptor = ReflectGetOwnPropertyDescriptor(scope, names[i]);
    ArrayPrototypePush(found, descriptor.value, descriptor.get, descriptor.set);
  }
  for (let i = 0; i < found.length; i++) {
    const value = found[i];
    if ((typeof value !== "object" && typeof value !== "function") || value === null) continue;
    if (SetPrototypeHas(seen, value)) continue;
    SetPrototypeAdd(seen, value);
    freezeOne(value, found);
  }
  pin(scope);
}

function freezeOne(value, found) {
  ArrayPrototypePush(found, ReflectGetPrototypeOf(value));
  const assignable = isPrototype(value) || value === IteratorPrototype;
  const keys = ReflectOwnKeys(value);
  for (let i = 0; i < keys.length; i++) {
    const descriptor = ReflectGetOwnPropertyDescriptor(value, keys[i]);
    ArrayPrototypePush(found, descriptor.value, descriptor.get, descriptor.set);
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
