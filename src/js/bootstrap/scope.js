// The global object can be added to. It must stay so, and inherit what it does:
// all runs of a host share it.
(function () {
const { primordials } = __bootstrap;
const {
  ArrayIsArray,
  ArrayPrototype,
  FunctionPrototypeBind,
  FunctionPrototypeCall,
  ObjectCreate,
  ObjectDefineProperty,
  ObjectFreeze,
  ObjectGetOwnPropertyDescriptor,
  ObjectHasOwn,
  ObjectIsExtensible,
  ObjectKeys,
  ObjectPreventExtensions,
  ObjectSeal,
  ObjectSetPrototypeOf,
  Proxy,
  ProxyRevocable,
  ReflectPreventExtensions,
  ReflectSetPrototypeOf,
  SafeWeakSet,
  TypeError,
  WeakSetPrototypeAdd,
  WeakSetPrototypeHas,
} = primordials;

// The proxies of the object, and theirs: what is done to them is done to it. No
// script but ours can ask an object whether it is one, and no operation of the
// host may be used: some of them freeze what they make.
const proxies = new SafeWeakSet();

function leadsTo(scope, value) {
  return value === scope ||
    (((typeof value === "object" && value !== null) || typeof value === "function") &&
      WeakSetPrototypeHas(proxies, value));
}

function watchProxies(scope) {
  const note = (target, proxy) => {
    if (leadsTo(scope, target)) WeakSetPrototypeAdd(proxies, proxy);
  };
  function make(target, handler) {
    if (new.target === undefined) throw new TypeError("a Proxy is made with `new`");
    const proxy = new Proxy(target, handler);
    note(target, proxy);
    return proxy;
  }
  const { revocable } = {
    revocable(target, handler) {
      const made = ProxyRevocable(target, handler);
      note(target, made.proxy);
      return made;
    },
  };
  // Bound, it is a constructor without a prototype, as the engine's own is.
  const Watched = FunctionPrototypeBind(make, undefined);
  ObjectDefineProperty(Watched, "name", { __proto__: null, value: "Proxy" });
  replace(Watched, { revocable });
  replace(scope, { Proxy: Watched });
}

function replace(owner, methods) {
  const names = ObjectKeys(methods);
  for (let i = 0; i < names.length; i++) {
    ObjectDefineProperty(owner, names[i], {
      __proto__: null,
      value: methods[names[i]],
      writable: true,
      enumerable: false,
      configurable: true,
    });
  }
}

// `length` of `Array.prototype` cannot be an accessor, and what inherits it could not
// set its own. So whatever is made to inherit from it has one at once.
function giveLength(object, prototype) {
  if (prototype !== ArrayPrototype || ArrayIsArray(object)) return;
  const isObject = (typeof object === "object" && object !== null) || typeof object === "function";
  if (!isObject || ObjectHasOwn(object, "length") || !ObjectIsExtensible(object)) return;
  ObjectDefineProperty(object, "length", {
    __proto__: null,
    value: 0,
    writable: true,
    enumerable: false,
    configurable: true,
  });
}

function guard(scope) {
  watchProxies(scope);
  const { Object, Reflect } = scope;
  const check = (value, what) => {
    if (leadsTo(scope, value)) throw new TypeError(`globalThis cannot be ${what}: all runs share it`);
  };
  const CLOSED = "closed to additions";
  const INHERITS = "given another prototype";
  replace(Object, {
    create(prototype, properties) {
      const made = ObjectCreate(prototype, properties);
      giveLength(made, prototype);
      return made;
    },
    freeze(object) {
      check(object, "frozen");
      return ObjectFreeze(object);
    },
    preventExtensions(object) {
      check(object, CLOSED);
      return ObjectPreventExtensions(object);
    },
    seal(object) {
      check(object, "sealed");
      return ObjectSeal(object);
    },
    setPrototypeOf(object, prototype) {
      check(object, INHERITS);
      const inheriting = ObjectSetPrototypeOf(object, prototype);
      giveLength(object, prototype);
      return inheriting;
    },
  });
  replace(Reflect, {
    preventExtensions(object) {
      check(object, CLOSED);
      return ReflectPreventExtensions(object);
    },
    setPrototypeOf(object, prototype) {
      check(object, INHERITS);
      const done = ReflectSetPrototypeOf(object, prototype);
      giveLength(object, prototype);
      return done;
    },
  });
  const KEY = "__proto__";
  const { set } = ObjectGetOwnPropertyDescriptor(Object.prototype, KEY);
  const guarded = ObjectGetOwnPropertyDescriptor({
    set [KEY](prototype) {
      check(this, INHERITS);
      FunctionPrototypeCall(set, this, prototype);
      giveLength(this, prototype);
    },
  }, KEY);
  ObjectDefineProperty(Object.prototype, KEY, { __proto__: null, set: guarded.set });
}

return { guard };
})();
