// A service account as Google has them (RFC 7523): a JWT that is signed with a
// private key buys an access token. The key is the secret `privateKey` of the
// target, in PEM; the daemon signs, the key is never here.
//
// connection.properties: clientEmail, tokenUrl, scope, url
// connection.secrets:    privateKey
// connection.secretHosts: { "privateKey": [] }, since it is sent nowhere

/** @typedef {{ clientEmail: string, tokenUrl: string, scope: string, url: string }} Connection */
/** @typedef {import("provisiond").Context<{ connection: Connection }>["connection"]} WithSecrets */

const base64url = (/** @type {Uint8Array} */ bytes) =>
  btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const json = (/** @type {object} */ value) => base64url(new TextEncoder().encode(JSON.stringify(value)));

/** @param {WithSecrets} connection */
async function assertion({ clientEmail, tokenUrl, scope, secrets }) {
  const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("pkcs8", secrets.privateKey, algorithm, false, ["sign"]);
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: clientEmail, scope, aud: tokenUrl, iat: now, exp: now + 3600 };
  const text = `${json({ alg: "RS256", typ: "JWT" })}.${json(claims)}`;
  const signature = await crypto.subtle.sign(algorithm.name, key, new TextEncoder().encode(text));
  return `${text}.${base64url(new Uint8Array(signature))}`;
}

let token = { value: "", until: 0 };

/** @param {WithSecrets} connection */
async function accessToken(connection) {
  if (Date.now() < token.until) return token.value;
  const body = new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
    assertion: await assertion(connection),
  });
  const response = await fetch(connection.tokenUrl, { method: "POST", body });
  if (!response.ok) throw new Error(`no access token: ${response.status}`, { cause: response });
  const { access_token, expires_in } = (await response.json()) ?? {};
  if (typeof access_token !== "string") throw new Error("no access token in the answer");
  token = { value: access_token, until: Date.now() + ((Number(expires_in) || 300) - 60) * 1000 };
  return token.value;
}

/** @type {import("provisiond").Logic<{ connection: Connection }>} */
export default async function (ctx) {
  const { account, connection, reason } = ctx;
  const response = await fetch(`${connection.url}/users/${encodeURIComponent(account.id)}`, {
    method: reason === "provision" ? "PUT" : "DELETE",
    headers: { authorization: `Bearer ${await accessToken(connection)}`, "content-type": "application/json" },
    body: reason === "provision" ? JSON.stringify({ name: account.userName }) : null,
  });
  if (response.status === 401) token.until = 0; // and the retry fetches a new one
  if (!response.ok && !(reason === "deprovision" && response.status === 404)) {
    throw new Error(`${reason}: ${response.status}`, { cause: response });
  }
  return reason === "provision" ? { status: "provisioned", remoteId: account.id } : { status: "deprovisioned" };
}
