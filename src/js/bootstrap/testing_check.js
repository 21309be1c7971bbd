// What `t.run` may be given.
(function () {
const { Response } = __bootstrap.core.loadExtScript("ext:deno_fetch/23_response.js");

// A typo must not make a green test: what is not known is refused.
const OPTIONS = [
  "reason", "trigger", "attempt", "idempotencyKey", "account", "subject", "groups", "organizations", "members",
  "changes", "previous", "config", "target", "connection", "dependencies", "answers",
];
const SUBJECT = [
  "kind", "id", "externalId", "userName", "displayName", "status", "attributes", "version", "createdAt", "updatedAt",
  "deletedAt",
];
const PREVIOUS = ["status", "remoteId", "metadata", "lastRunAt"];
const ANSWER = ["method", "url", "status", "headers", "body", "times", "error", "errorClass", "retryAfter"];
const BODYLESS = [204, 205, 304];

function check(options) {
  only(options, OPTIONS, "what `t.run` is given");
  const { account, subject, previous, target, answers, reason } = options;
  if (account !== undefined) only(account, SUBJECT, "`account`");
  if (subject !== undefined) only(subject, SUBJECT, "`subject`");
  if (previous !== undefined) only(previous, PREVIOUS, "`previous`");
  if (target !== undefined) only(target, ["id", "name", "config"], "`target`");
  for (const name of ["config", "connection", "dependencies"]) {
    if (options[name] !== undefined) object(options[name], `\`${name}\``);
  }
  for (const name of ["groups", "organizations", "members", "changes"]) {
    if (options[name] !== undefined) refuseUnless(Array.isArray(options[name]), `\`${name}\` must be an array`);
  }
  refuseUnless([undefined, "provision", "deprovision"].includes(reason), '`reason` must be "provision" or "deprovision"');
  if (answers === undefined || typeof answers === "function") return;
  refuseUnless(Array.isArray(answers), "`answers` must be an array or a function");
  answers.forEach((answer, place) => checkAnswer(answer, `\`answers[${place}]\``));
}

function checkAnswer(answer, where) {
  if (answer instanceof Response) return;
  only(answer, ANSWER, where);
  const { status = 200, body = null } = answer;
  refuseUnless(Number.isInteger(status) && status >= 200 && status <= 599, `the status of ${where} must be from 200 to 599`);
  refuseUnless(body === null || !BODYLESS.includes(status), `${where} must have no body: an answer with status ${status} has none`);
}

function only(value, known, where) {
  object(value, where);
  const unknown = Object.keys(value).find((name) => !known.includes(name));
  refuseUnless(unknown === undefined, `${where} has no member \`${unknown}\`; there are ${known.join(", ")}`);
}

function object(value, where) {
  refuseUnless(typeof value === "object" && value !== null && !Array.isArray(value), `${where} must be an object`);
}

function refuseUnless(holds, message) {
  if (!holds) throw new TypeError(message);
}

return { check, checkAnswer };
})();
