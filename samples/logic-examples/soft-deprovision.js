// Suspends a user at a SCIM server when its account leaves, so that it finds
// everything again if it comes back. When the account was deleted, the user is
// deleted too, 30 days later, unless the account is restored before. (Not if it was
// suspended before: an account that is deleted while it is out of scope makes no
// more work here.)
//
// connection.properties: { "url": "https://scim.example.org/v2" }
// connection.secrets:    { "token": "…" }
// connection.secretHosts: { "token": ["scim.example.org"] }

/**
 * @typedef {{ connection: { url: string }, metadata: { suspendedAt?: string } }} Shapes
 * @typedef {import("provisiond").Context<Shapes>} Ctx
 */

const KEEP_DAYS = 30;

/** @type {import("provisiond").Logic<Shapes>} */
export default async function (ctx) {
  return ctx.reason === "provision" ? provision(ctx) : deprovision(ctx);
}

/** @type {import("provisiond").ProvisionLogic<Shapes>} */
async function provision(ctx) {
  const { id, userName, displayName } = ctx.account;
  const user = {
    schemas: ["urn:ietf:params:scim:schemas:core:2.0:User"],
    externalId: id,
    userName,
    displayName: displayName ?? userName,
    active: true,
  };
  // The remote id outlives a deprovision: this wakes a suspended user.
  const known = ctx.previous.remoteId;
  if (known !== null) {
    const replaced = await scim(ctx, "PUT", `/Users/${encodeURIComponent(known)}`, { ...user, id: known });
    // Whatever it answers beside the status.
    if (replaced.status !== 404) return { status: "provisioned", metadata: {} };
  }
  const answer = await scim(ctx, "POST", "/Users", user);
  const made = (await answer.json())?.id;
  // Without it nobody could find the user again.
  if (typeof made !== "string" || made === "") throw new Error("the user that was created has no id");
  return { status: "provisioned", remoteId: made, metadata: {} };
}

/** @type {import("provisiond").DeprovisionLogic<Shapes>} */
async function deprovision(ctx) {
  const id = ctx.previous.remoteId;
  if (id === null) return { status: "deprovisioned" };
  const suspendedAt = ctx.previous.metadata?.suspendedAt ?? (await suspend(ctx, id));
  if (ctx.account.deletedAt === null) {
    return { status: "deprovisioned", message: "suspended", metadata: { suspendedAt } };
  }
  const deleteAt = new Date(Date.parse(suspendedAt) + KEEP_DAYS * 86_400_000).toISOString();
  if (Date.now() < Date.parse(deleteAt)) {
    const message = `suspended, to be deleted on ${deleteAt.slice(0, 10)}`;
    return { status: "provisionOngoing", message, metadata: { suspendedAt }, runAgainAt: deleteAt };
  }
  await scim(ctx, "DELETE", `/Users/${encodeURIComponent(id)}`);
  return { status: "deprovisioned", message: `deleted ${KEEP_DAYS} days after`, metadata: {} };
}

/**
 * @param {Ctx} ctx
 * @param {string} id
 */
async function suspend(ctx, id) {
  await scim(ctx, "PATCH", `/Users/${encodeURIComponent(id)}`, {
    schemas: ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    Operations: [{ op: "replace", path: "active", value: false }],
  });
  return new Date().toISOString();
}

/**
 * Throws at every failure but 404.
 * @param {Ctx} ctx
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 */
async function scim(ctx, method, path, body) {
  const response = await fetch(ctx.connection.url + path, {
    method,
    headers: {
      authorization: `Bearer ${ctx.connection.secrets.token}`,
      "content-type": "application/scim+json",
    },
    body: body === undefined ? null : JSON.stringify(body),
  });
  if (response.ok || (response.status === 404 && method !== "POST")) return response;
  const text = (await response.text()).slice(0, 200);
  throw new Error(`${method} ${path}: ${response.status} ${text}`, { cause: response });
}
