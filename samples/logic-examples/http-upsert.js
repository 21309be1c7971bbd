// Keeps a user at an HTTP API equal to the account: finds it by external id,
// creates or updates it, adopts one that is there already, deletes it.
//
// connection.properties: { "url": "https://api.example.org" }
// connection.secrets:    { "token": "…" }

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
  if (created.status === 409) return adopt(ctx);
  const user = await created.json();
  return { status: "provisioned", remoteId: user.id, message: "created" };
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
 * The id of the user that bears this account's id, or else its name.
 * @param {Ctx} ctx
 * @returns {Promise<string | null>}
 */
async function find(ctx) {
  for (const [name, value] of [["externalId", ctx.account.id], ["userName", ctx.account.userName]]) {
    const query = new URLSearchParams({ [name]: value });
    const found = await (await call(ctx, "GET", `/users?${query}`)).json();
    if (found.length > 1) throw Object.assign(new Error(`two users have ${query}`), { errorClass: "permanent" });
    if (found.length === 1) return found[0].id;
  }
  return null;
}

/**
 * Another run, or somebody, made the user between our look and our POST.
 * @param {Ctx} ctx
 * @returns {Promise<import("provisiond").ProvisionResult>}
 */
async function adopt(ctx) {
  const id = await find(ctx);
  if (id === null) return { status: "provisionFailed", errorClass: "permanent", message: "409, but no such user" };
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
    // The class of the error follows from the status: 429 and 5xx are tried
    // again, 400 is not.
    throw new Error(`${method} ${path}: ${response.status} ${(await response.text()).slice(0, 200)}`);
  }
  return response;
}
