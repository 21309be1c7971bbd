// Orders a mailbox, which takes minutes to make, and looks again until it is
// there. The address is written back to the account.
//
// connection.properties: { "url": "https://mail.example.org/api" }
// connection.secrets:    { "password": "…" }

/**
 * @typedef {import("provisiond").Logic<{
 *   attributes: { mail?: string },
 *   metadata: { order?: string, orderedAt?: string, done?: boolean },
 *   connection: { url: string },
 * }>} MailboxLogic
 */

const GIVE_UP_AFTER_HOURS = 24;

/** @type {MailboxLogic} */
export default async function (ctx) {
  const base = ctx.connection.url;
  // Basic is the one place where a handle may be put through base64.
  const headers = {
    authorization: "Basic " + btoa(`provisioner:${ctx.connection.secrets.password}`),
    "content-type": "application/json",
  };

  if (ctx.reason === "deprovision") {
    const url = `${base}/mailboxes/${encodeURIComponent(ctx.account.userName)}`;
    const gone = await fetch(url, { method: "DELETE", headers });
    if (!gone.ok && gone.status !== 404) throw new Error(`deleting the mailbox: ${gone.status}`);
    return { status: "deprovisioned", attributes: { mail: null }, metadata: {} };
  }

  const { order, orderedAt, done } = ctx.previous.metadata ?? {};
  if (done) return { status: "provisioned" };
  if (order === undefined || orderedAt === undefined) {
    const response = await fetch(`${base}/orders`, {
      method: "POST",
      headers: { ...headers, "idempotency-key": ctx.idempotencyKey },
      body: JSON.stringify({ user: ctx.account.userName }),
    });
    if (!response.ok) throw new Error(`ordering the mailbox: ${response.status}`);
    const placed = await response.json();
    return {
      status: "provisionOngoing",
      message: "ordered",
      metadata: { order: String(placed.id), orderedAt: new Date().toISOString() },
      runAgainIn: "PT2M",
    };
  }

  const response = await fetch(`${base}/orders/${encodeURIComponent(order)}`, { headers });
  if (!response.ok) throw new Error(`asking for order ${order}: ${response.status}`);
  const state = await response.json();
  if (state.done) {
    const { mailbox, address } = state;
    return { status: "provisioned", remoteId: mailbox, attributes: { mail: address }, metadata: { done: true } };
  }
  const hours = (Date.now() - Date.parse(orderedAt)) / 3_600_000;
  if (hours > GIVE_UP_AFTER_HOURS) {
    const message = `order ${order} is not done after ${GIVE_UP_AFTER_HOURS} hours`;
    return { status: "provisionFailed", errorClass: "permanent", message, metadata: {} };
  }
  // Metadata that is left out stays as it is.
  return { status: "provisionOngoing", message: `order ${order}: ${state.progress}`, runAgainIn: 120 };
}
