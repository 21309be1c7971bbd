// Orders a mailbox, which takes minutes to make, and looks again until it is
// there. The address is written back to the account.
//
// connection.properties: { "url": "https://mail.example.org/api" }
// connection.secrets:    { "password": "…" }
// connection.secretHosts: { "password": ["mail.example.org"] }

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

  const { order, orderedAt, done } = ctx.previous.metadata ?? {};
  if (ctx.reason === "deprovision") {
    // What we have ordered, and nothing that only has the name of the account.
    const { remoteId } = ctx.previous;
    const ours = [remoteId && `mailboxes/${encodeURIComponent(remoteId)}`, order && `orders/${encodeURIComponent(order)}`];
    for (const path of ours.filter(Boolean)) {
      const gone = await fetch(`${base}/${path}`, { method: "DELETE", headers });
      if (!gone.ok && gone.status !== 404) throw new Error(`deleting ${path}: ${gone.status}`, { cause: gone });
    }
    return { status: "deprovisioned", attributes: { mail: null }, metadata: {} };
  }

  if (done) return { status: "provisioned" };
  if (order === undefined || orderedAt === undefined) {
    const response = await fetch(`${base}/orders`, {
      method: "POST",
      headers: { ...headers, "idempotency-key": ctx.idempotencyKey },
      body: JSON.stringify({ user: ctx.account.userName }),
    });
    if (!response.ok) throw new Error(`ordering the mailbox: ${response.status}`, { cause: response });
    const placed = (await response.json())?.id;
    // Without it nobody could ask for the order again.
    if (typeof placed !== "string" && typeof placed !== "number") throw new Error("the order has no id");
    return {
      status: "provisionOngoing",
      message: "ordered",
      metadata: { order: String(placed), orderedAt: new Date().toISOString() },
      runAgainIn: "PT2M",
    };
  }

  const response = await fetch(`${base}/orders/${encodeURIComponent(order)}`, { headers });
  if (!response.ok) throw new Error(`asking for order ${order}: ${response.status}`, { cause: response });
  const state = await response.json();
  if (state?.done === true) {
    const { mailbox, address } = state;
    if (typeof mailbox !== "string" || typeof address !== "string") {
      throw new Error(`order ${order} is done, but has no mailbox with an address`);
    }
    return { status: "provisioned", remoteId: mailbox, attributes: { mail: address }, metadata: { done: true } };
  }
  const hours = (Date.now() - Date.parse(orderedAt)) / 3_600_000;
  if (hours > GIVE_UP_AFTER_HOURS) {
    const message = `order ${order} is not done after ${GIVE_UP_AFTER_HOURS} hours`;
    return { status: "provisionFailed", errorClass: "permanent", message, metadata: {} };
  }
  // Metadata that is left out stays as it is.
  return { status: "provisionOngoing", message: `order ${order}: ${state?.progress ?? "under way"}`, runAgainIn: 120 };
}
