// Keeps the users of a SCIM 2.0 server (RFC 7643, RFC 7644) equal to the accounts
// of a store. The connection has the property `baseUrl` (the address that `/Users`
// is appended to) and the secret `token` (a bearer token).

const USER = 'urn:ietf:params:scim:schemas:core:2.0:User';
const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';

export default async function (ctx) {
  return ctx.reason === 'deprovision' ? remove(ctx) : save(ctx);
}

// Creates the user, or brings the one that is there up to date.
async function save(ctx) {
  const wanted = userOf(ctx);
  const known = ctx.previous.remoteId ?? (await find(ctx))?.id;
  if (known) {
    const updated = await replace(ctx, known, wanted);
    if (updated) return provisioned(updated, 'updated');
    // It is gone from the server: it is made anew.
  }
  const answer = await call(ctx, 'POST', '/Users', wanted);
  if (answer.ok) return provisioned(await answer.json(), 'created');
  if (answer.status !== 409) throw await refused(answer, 'cannot create');
  return adopt(ctx, wanted, answer);
}

// 409: somebody has the name. When it is the same person, the server knew the
// user before us; when nobody can be found, it is another conflict.
async function adopt(ctx, wanted, conflict) {
  const found = await find(ctx);
  const updated = found && (await replace(ctx, found.id, wanted));
  if (!updated) throw await refused(conflict, 'cannot create');
  return provisioned(updated, 'adopted');
}

// Deletes the user; one that is gone already is as good.
async function remove(ctx) {
  const id = ctx.previous.remoteId ?? (await find(ctx))?.id;
  if (!id) return { status: 'deprovisioned', message: 'there was no such user' };
  const answer = await call(ctx, 'DELETE', `/Users/${encodeURIComponent(id)}`);
  if (answer.ok) return { status: 'deprovisioned', message: 'deleted' };
  if (answer.status === 404) return { status: 'deprovisioned', message: 'the user was gone already' };
  throw await refused(answer, 'cannot delete');
}

// The user as it is after the PUT; undefined when there is none with that id.
async function replace(ctx, id, wanted) {
  const answer = await call(ctx, 'PUT', `/Users/${encodeURIComponent(id)}`, { ...wanted, id });
  if (answer.status === 404) return undefined;
  if (!answer.ok) throw await refused(answer, 'cannot update');
  // Some servers answer a PUT with 204.
  return answer.status === 204 ? { id } : answer.json();
}

// The user with this external id, else the one with this name. A user of that
// name with the external id of somebody else is not ours to take.
async function find(ctx) {
  const { externalId, userName } = ctx.account;
  const same = externalId && (await search(ctx, 'externalId', externalId));
  if (same) return same;
  const named = await search(ctx, 'userName', userName);
  const anothers = named?.externalId && externalId && named.externalId !== externalId;
  return anothers ? undefined : named;
}

async function search(ctx, attribute, value) {
  // The value of a filter is a JSON string (RFC 7644 §3.4.2.2), so quotes and
  // backslashes in it are escaped.
  const filter = `${attribute} eq ${JSON.stringify(value)}`;
  const answer = await call(ctx, 'GET', `/Users?filter=${encodeURIComponent(filter)}`);
  if (!answer.ok) throw await refused(answer, 'cannot search');
  const list = await answer.json();
  return (list.Resources ?? list.resources ?? [])[0];
}

// The account as a SCIM user. Members that are undefined are left out.
function userOf(ctx) {
  const { externalId, userName, displayName, status, attributes: a } = ctx.account;
  const enterprise = {
    employeeNumber: a.employeeNumber,
    costCenter: a.costCenter,
    department: a.department,
    organization: ctx.organizations[0]?.displayName,
  };
  return {
    schemas: [USER, ENTERPRISE],
    externalId: externalId ?? undefined,
    userName,
    displayName: displayName ?? ([a.givenName, a.familyName].filter(Boolean).join(' ') || undefined),
    name: { givenName: a.givenName, familyName: a.familyName },
    title: a.title,
    locale: a.locale,
    userType: a.employeeType,
    active: status === 'active',
    emails: values(a.emails, 'work'),
    phoneNumbers: values(a.phoneNumbers, 'work'),
    [ENTERPRISE]: enterprise,
  };
}

// Strings become values of a multi-valued attribute, the first one primary.
function values(list, type) {
  if (!Array.isArray(list) || list.length === 0) return undefined;
  return list.map((value, index) =>
    index === 0 ? { value, type, primary: true } : { value, type: 'other' });
}

function call(ctx, method, path, body) {
  const { baseUrl, secrets } = ctx.connection;
  const headers = { accept: 'application/scim+json', authorization: `Bearer ${secrets.token}` };
  if (body) headers['content-type'] = 'application/scim+json';
  return fetch(baseUrl.replace(/\/$/, '') + path, {
    method,
    headers,
    body: body && JSON.stringify(body),
    signal: ctx.signal,
  });
}

function provisioned(user, what) {
  return { status: 'provisioned', remoteId: user.id, message: `${what} user ${user.id}` };
}

// An answer that says no. The daemon tells from the status whether and when to
// try again, and honours Retry-After.
async function refused(answer, what) {
  const text = await answer.text();
  const detail = detailOf(text) ?? text.slice(0, 200);
  return new Error(`${what}: ${answer.status} ${detail}`.trim());
}

// SCIM errors are JSON with a `detail` (RFC 7644 §3.12); proxies answer otherwise.
function detailOf(text) {
  try {
    return JSON.parse(text).detail;
  } catch {
    return undefined;
  }
}
