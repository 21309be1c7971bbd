// Keeps a user at an HTTP API equal to the account: finds it by external id,
// creates or updates it, adopts one that is there already, deletes it.
//
// connection.properties: { "url": "https://api.example.org" }
// connection.secrets:    { "token": "…" }
// connection.secretHosts: { "token": ["api.example.org"] }

/**
 * @typedef {import("provisiond").Context<{
 *   attributes: { givenName?: string, familyName?: string, email?: string },
 *   connection: { url: string },
 * }>} Ctx
 */

/**
 * @param {Ctx} ctx
 * @returns {Promise<import("provisiond").Result>}
 */
export default async function (ctx) {
  const id = ctx.previous.remoteId ?? (await find(ctx));
  if (ctx.reason === "deprovision") {
    if (id !== null) await call(ctx, "DELETE", `/users/${encodeURIComponent(id)}`, undefined, [404, 410]);
    return { status: "deprovisioned" };
  }
  if (id !== null) {
    const response = await call(ctx, "PUT", `/users/${encodeURIComponent(id)}`, userOf(ctx), [404]);
    if (response.ok) return { status: "provisioned", remoteId: id };
    // Somebody deleted it there: make it anew below.
  }
  const created = await call(ctx, "POST", "/users", userOf(ctx), [409]);
  if (created.status === 409) return adopt(ctx, created);
  const made = idOf(await json(created)) ?? (await find(ctx));
  // Without an id nobody could find the user again.
  if (made === null) throw new Error("POST /users: it was created, says the server, but it has no id");
  return { status: "provisioned", remoteId: made, message: "created" };
}

/** @param {Ctx} ctx */
function userOf({ account }) {
  return {
    externalId: account.id,
    userName: account.userName,
    active: account.status === "active",
    givenName: account.attributes.givenName ?? "",
    familyName: account.attributes.familyName ?? "",
    email: account.attributes.email ?? null,
  };
}

/**
 * The id of the user that bears this account's id, or else its name and nobody's id.
 * @param {Ctx} ctx
 * @returns {Promise<string | null>}
 */
async function find(ctx) {
  const { id, userName } = ctx.account;
  const own = await search(ctx, "externalId", id);
  if (own !== null) return idOf(own);
  const named = await search(ctx, "userName", userName);
  return named?.externalId ? null : idOf(named);
}

/**
 * The one user with that value. A service may not know the parameter, and answer with
 * everybody: whoever is not looked for is passed over.
 * @param {Ctx} ctx
 * @param {string} name
 * @param {string} value
 */
async function search(ctx, name, value) {
  const query = new URLSearchParams({ [name]: value });
  const response = await call(ctx, "GET", `/users?${query}`);
  const list = await json(response);
  if (!Array.isArray(list)) throw new Error(`GET /users?${query}: the answer is no list`, { cause: response });
  const found = list.filter((user) => user?.[name] === value && idOf(user) !== null);
  if (found.length > 1) throw Object.assign(new Error(`two users have ${query}`), { errorClass: "permanent" });
  return found[0] ?? null;
}

/**
 * @param {{ id?: unknown } | null | undefined} user
 * @returns {string | null}
 */
function idOf(user) {
  const id = user?.id;
  return (typeof id === "string" && id !== "") || typeof id === "number" ? String(id) : null;
}

/**
 * What an answer holds, null when it is no JSON.
 * @param {Response} response
 */
async function json(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * Another run, or somebody, made the user between our look and our POST.
 * @param {Ctx} ctx
 * @param {Response} conflict
 * @returns {Promise<import("provisiond").ProvisionResult>}
 */
async function adopt(ctx, conflict) {
  const id = await find(ctx);
  if (id === null) throw new Error("POST /users: 409, but no such user", { cause: conflict });
  await call(ctx, "PUT", `/users/${encodeURIComponent(id)}`, userOf(ctx));
  return { status: "provisioned", remoteId: id, message: "adopted" };
}

/**
 * @param {Ctx} ctx
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {number[]} [expected] failures that the caller handles
 */
async function call(ctx, method, path, body, expected = []) {
  const response = await fetch(ctx.connection.url + path, {
    method,
    headers: {
      authorization: `Bearer ${ctx.connection.secrets.token}`,
      "content-type": "application/json",
      // One key for one request: POST is sent at most once in a run.
      ...(method === "POST" && { "idempotency-key": ctx.idempotencyKey }),
    },
    body: body === undefined ? null : JSON.stringify(body),
    signal: ctx.signal,
  });
  if (!response.ok && !expected.includes(response.status)) {
    // The class of the error follows from the status of its cause: 429 and 5xx are
    // tried again, 400 is not.
    const text = (await response.text()).slice(0, 200);
    throw new Error(`${method} ${path}: ${response.status} ${text}`, { cause: response });
  }
  return response;
}
