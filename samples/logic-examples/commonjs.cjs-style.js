// The older module form works as well: `module.exports`. Reports every change
// to a webhook, and its rate limit is the remote's to tell.
//
// connection.properties: { "url": "https://hooks.example.org/accounts" }

const { log } = require("provisiond");

/** @type {import("provisiond").Logic<{ connection: { url: string } }>} */
const notify = async (ctx) => {
  const response = await fetch(ctx.connection.url, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": ctx.idempotencyKey },
    body: JSON.stringify({ event: ctx.reason, account: ctx.account, changed: ctx.changes }),
  });
  log.debug(`attempt ${ctx.attempt} was answered with ${response.status}`);
  // Thrown after a 429 this is `rateLimited`, and the wait of `Retry-After`
  // is kept. After a 400 it is `permanent`.
  if (!response.ok) throw new Error(`the webhook answered ${response.status}`, { cause: response });
  return { status: ctx.reason === "provision" ? "provisioned" : "deprovisioned" };
};

module.exports = notify;
