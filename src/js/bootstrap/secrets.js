// The handles of secrets: reading one that is not there is an error that lists
// those that are. `undefined` would be sent as a credential.
(function () {
const { core, primordials } = __bootstrap;
const {
  ArrayPrototypeJoin,
  ArrayPrototypeMap,
  ObjectFreeze,
  ObjectKeys,
  Proxy,
  ReflectGet,
  ReflectGetPrototypeOf,
  ReflectHas,
  StringPrototypeSlice,
  StringPrototypeStartsWith,
  TypeError,
} = primordials;

// What the language and libraries ask any object for; the engine's own questions begin
// with two underscores.
const PROBED = { __proto__: null, length: true, size: true, then: true, toJSON: true };
const isProbed = (name) => PROBED[name] === true || StringPrototypeStartsWith(name, "__");
const MAX_NAME = 64;

// The prototype of all handles: only what they do not have themselves gets here.
const guard = new Proxy(
  ObjectFreeze({}),
  ObjectFreeze({
    __proto__: null,
    get(target, name, receiver) {
      if (typeof name === "symbol" || isProbed(name) || ReflectHas(target, name)) return ReflectGet(target, name, receiver);
      throw unknown(name, receiver);
    },
  }),
);

function unknown(name, receiver) {
  let secrets = receiver;
  while (secrets !== null && ReflectGetPrototypeOf(secrets) !== guard) secrets = ReflectGetPrototypeOf(secrets);
  const names = ArrayPrototypeMap(secrets === null ? [] : ObjectKeys(secrets), (known) => `\`${known}\``);
  const known = names.length === 0 ? "there are none" : `there are ${ArrayPrototypeJoin(names, ", ")}`;
  const error = new TypeError(
    `\`ctx.connection.secrets\` has no \`${StringPrototypeSlice(name, 0, MAX_NAME)}\`: ${known} (\`"name" in secrets\` asks)`,
  );
  error.errorClass = "logic";
  return error;
}

function guardSecrets(context) {
  const secrets = context?.connection?.secrets;
  if (typeof secrets !== "object" || secrets === null) return;
  // A copy, which takes a third of what it takes to change a prototype.
  context.connection.secrets = { __proto__: guard, ...secrets };
}

return { guardSecrets };
})();
