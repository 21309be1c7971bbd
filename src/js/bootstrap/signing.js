// Keys that never come here: `importKey` with the handle of a secret gives a
// `CryptoKey` whose `sign` is done by the daemon.
(function () {
const { core, primordials } = __bootstrap;
const { op_inspect_key, op_limits, op_sign } = core.ops;
const {
  ArrayBufferIsView,
  ArrayPrototypeJoin,
  ArrayPrototypeMap,
  DataViewPrototypeGetBuffer,
  DataViewPrototypeGetByteLength,
  DataViewPrototypeGetByteOffset,
  FunctionPrototypeCall,
  JSONStringify,
  ObjectDefineProperty,
  ObjectKeys,
  Promise,
  ReflectApply,
  ReflectDeleteProperty,
  RegExpPrototypeExec,
  RegExpPrototypeTest,
  SafeRegExp,
  SafeSet,
  SafeWeakMap,
  SetPrototypeAdd,
  SetPrototypeHas,
  String,
  StringPrototypeToUpperCase,
  TypedArrayPrototypeGetBuffer,
  TypedArrayPrototypeGetByteLength,
  TypedArrayPrototypeGetByteOffset,
  TypedArrayPrototypeGetSymbolToStringTag,
  TypeError,
  Uint8Array,
  WeakMapPrototypeGet,
  WeakMapPrototypeSet,
} = primordials;
const { Crypto, CryptoKey, SubtleCrypto, crypto } = core.loadExtScript("ext:deno_crypto/00_crypto.js");
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { forgivingBase64Decode } = core.loadExtScript("ext:deno_web/00_infra.js");
const { awaitAnswer, nextCall } = core.loadExtScript("ext:provisiond/calls.js");
const { console } = core.loadExtScript("ext:provisiond/console.js");
const { current } = core.loadExtScript("ext:provisiond/run.js");
const { HostCallError } = core.loadExtScript("ext:provisiond/thrown.js");

const { 8: MAX_SIGNED } = op_limits();
const HANDLE = new SafeRegExp("__secret_[A-Za-z0-9_]+_[0-9a-f]{16}__");
// Longer bytes are no handle; looking into them would cost.
const LONGEST_MATERIAL = 1024;

const HASHES = ["SHA-1", "SHA-256", "SHA-384", "SHA-512"];
const CURVES = ["P-256", "P-384", "P-521"];
const ENCODINGS = ["utf8", "base64", "hex"];
// The block of the hash in bits, as `generateKey` has it: the true length of a
// secret is nobody's business.
const BLOCK = { __proto__: null, "SHA-1": 512, "SHA-256": 512, "SHA-384": 1024, "SHA-512": 1024 };
const FORMATS = {
  __proto__: null,
  "HMAC": "raw",
  "RSASSA-PKCS1-v1_5": "pkcs8",
  "RSA-PSS": "pkcs8",
  "ECDSA": "pkcs8",
  "Ed25519": "pkcs8",
};

// What the daemon is told of each key.
const keys = new SafeWeakMap();

// A view of the bytes of a BufferSource, null for anything else.
function bytesOf(source) {
  if (typeof source !== "object" || source === null) return null;
  if (core.isArrayBuffer(source)) return new Uint8Array(source);
  if (!ArrayBufferIsView(source)) return null;
  return TypedArrayPrototypeGetSymbolToStringTag(source) === undefined
    ? new Uint8Array(
      DataViewPrototypeGetBuffer(source),
      DataViewPrototypeGetByteOffset(source),
      DataViewPrototypeGetByteLength(source),
    )
    : new Uint8Array(
      TypedArrayPrototypeGetBuffer(source),
      TypedArrayPrototypeGetByteOffset(source),
      TypedArrayPrototypeGetByteLength(source),
    );
}

// What is longer is no key, and would not fit into a frame.
function checkMaterial(material) {
  if (material.length > MAX_SIGNED || core.byteLength(material) > MAX_SIGNED) {
    const limit = `the limit of ${MAX_SIGNED / 1048576} MiB for the material of a key`;
    throw new HostCallError(`${limit} was reached`, "permanent");
  }
}

// The text with a handle that is given for key data, also as its bytes (for
// libraries that take these only); null when there is no handle in it.
function materialOf(keyData) {
  let text = keyData;
  if (typeof keyData === "string") {
    checkMaterial(text);
  } else {
    const bytes = bytesOf(keyData);
    if (bytes === null || TypedArrayPrototypeGetByteLength(bytes) > LONGEST_MATERIAL) return null;
    text = core.decode(bytes);
  }
  return RegExpPrototypeTest(HANDLE, text) ? text : null;
}

function oneOf(what, list, value) {
  const word = typeof value === "object" && value !== null ? value.name : value;
  for (let i = 0; i < list.length; i++) {
    if (StringPrototypeToUpperCase(list[i]) === StringPrototypeToUpperCase(String(word))) return list[i];
  }
  const words = ArrayPrototypeJoin(list, ", ");
  throw new DOMException(`to sign with a secret, ${what} must be one of ${words}`, "NotSupportedError");
}

// The algorithm as the daemon reads it.
function algorithmOf(given) {
  const name = oneOf("the algorithm", ObjectKeys(FORMATS), given);
  switch (name) {
    case "HMAC": {
      const encoding = oneOf("`encoding`", ENCODINGS, given.encoding ?? "utf8");
      return { __proto__: null, name, hash: oneOf("`hash`", HASHES, given.hash), encoding };
    }
    case "ECDSA":
      return { __proto__: null, name, namedCurve: oneOf("`namedCurve`", CURVES, given.namedCurve) };
    case "Ed25519":
      return { __proto__: null, name };
    default:
      return { __proto__: null, name, hash: oneOf("`hash`", HASHES, given.hash) };
  }
}

// The `algorithm` that the key shows.
function shownAlgorithm({ name, hash, namedCurve }, info) {
  switch (name) {
    case "HMAC":
      return { name, hash: { name: hash }, length: BLOCK[hash] };
    case "ECDSA":
      return { name, namedCurve };
    case "Ed25519":
      return { name };
    default: {
      const { modulusLength, publicExponent } = info;
      return { name, modulusLength, publicExponent: new Uint8Array(publicExponent), hash: { name: hash } };
    }
  }
}

function ask(what, send) {
  const run = current(what);
  if (run.scripted !== null) throw new HostCallError("a test has no secrets to sign with", "logic");
  const number = nextCall(run, what);
  return new Promise((resolve, reject) => {
    awaitAnswer(run, number, {
      reply: resolve,
      refuse: ({ message, errorClass, retryAfter }) => reject(new HostCallError(message, errorClass, retryAfter)),
      reject,
    });
    send(run, number);
  });
}

async function importHandle(format, material, given, extractable, usages) {
  const algorithm = algorithmOf(given);
  const { name } = algorithm;
  if (format !== FORMATS[name]) {
    const message = `a secret is imported for ${name} as "${FORMATS[name]}", not "${format}"`;
    throw new DOMException(message, "NotSupportedError");
  }
  if (extractable) {
    throw new DOMException("a secret cannot be extractable: it never comes here", "NotSupportedError");
  }
  const list = ArrayPrototypeMap([...usages], String);
  if (list.length === 0 || !list.every((usage) => usage === "sign")) {
    throw new DOMException('a secret can be used to sign only: give the usages ["sign"]', "SyntaxError");
  }
  const request = { __proto__: null, material, algorithm };
  const info = await ask("importKey with a secret", (run, number) => {
    op_inspect_key(run.id, number, JSONStringify(request));
  });
  const key = makeKey({
    keyType: name === "HMAC" ? "secret" : "private",
    extractable: false,
    usages: ["sign"],
    algorithm: shownAlgorithm(algorithm, info),
    // Nothing can be signed with it: a structured clone of the key fails.
    keyData: { type: "public", data: new Uint8Array(0) },
  });
  WeakMapPrototypeSet(keys, key, request);
  return key;
}

async function signWith(request, given, data) {
  const { name } = request.algorithm;
  const options = typeof given === "string" ? { name: given } : given;
  if (StringPrototypeToUpperCase(String(options?.name)) !== StringPrototypeToUpperCase(name)) {
    throw new DOMException(`the key is for ${name}`, "InvalidAccessError");
  }
  const bytes = bytesOf(data);
  if (bytes === null) throw new TypeError("what is signed must be an ArrayBuffer or a view of one");
  const length = TypedArrayPrototypeGetByteLength(bytes);
  if (length > MAX_SIGNED) {
    const limit = `the limit of ${MAX_SIGNED / 1048576} MiB to be signed at once`;
    throw new HostCallError(`${limit} was reached`, "permanent");
  }
  const head = JSONStringify({
    __proto__: null,
    key: request,
    options: {
      __proto__: null,
      saltLength: name === "RSA-PSS" ? options.saltLength : undefined,
      hash: name === "ECDSA" ? oneOf("`hash`", HASHES, options.hash) : undefined,
    },
  });
  const signature = await ask("sign with a secret", (run, number) => {
    report(run, request, length);
    op_sign(run.id, number, head, bytes);
  });
  return TypedArrayPrototypeGetBuffer(forgivingBase64Decode(signature));
}

// One line for each key in a run: that it was used should be seen.
function report(run, request, length) {
  run.signers ??= new SafeSet();
  if (SetPrototypeHas(run.signers, request)) return;
  SetPrototypeAdd(run.signers, request);
  const { 0: handle } = RegExpPrototypeExec(HANDLE, request.material);
  console.debug(`signed ${length} bytes with ${handle} (${request.algorithm.name})`);
}

let makeKey;

function replace(owner, name, method) {
  ObjectDefineProperty(owner, name, {
    __proto__: null,
    value: method,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

function install() {
  const subtle = SubtleCrypto.prototype;
  const { importKey: importBytes, sign: signHere } = subtle;
  const { fromCloneData } = CryptoKey;
  makeKey = (data) => FunctionPrototypeCall(fromCloneData, CryptoKey, data);
  // The symbols that keys are branded with are registered when it is first asked for.
  const own = crypto.subtle;
  const methods = {
    async importKey(format, keyData, algorithm, extractable, keyUsages) {
      const material = this === own ? materialOf(keyData) : null;
      if (material !== null) return await importHandle(format, material, algorithm, extractable, keyUsages);
      return await ReflectApply(importBytes, this, arguments);
    },
    async sign(algorithm, key, data) {
      const request = this === own ? WeakMapPrototypeGet(keys, key) : undefined;
      if (request !== undefined) return await signWith(request, algorithm, data);
      return await ReflectApply(signHere, this, arguments);
    },
  };
  // Deno's own doors to what a key holds, and to what all runs share.
  ReflectDeleteProperty(Crypto, "create");
  ReflectDeleteProperty(Crypto, "registerSymbols");
  ReflectDeleteProperty(SubtleCrypto, "create");
  ReflectDeleteProperty(CryptoKey, "exportNodeMaterial");
  ReflectDeleteProperty(CryptoKey, "importSync");
  replace(subtle, "importKey", methods.importKey);
  replace(subtle, "sign", methods.sign);
}

return { install };
})();
