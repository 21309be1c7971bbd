// Keeps the users of a SCIM 2.0 server (RFC 7643, RFC 7644) equal to the accounts
// of a store. The connection has the property `baseUrl` (the address that `/Users`
// is appended to) and the secret `token` (a bearer token), which `secretHosts` lets
// go to the host of that address.

const USER = 'urn:ietf:params:scim:schemas:core:2.0:User';
const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';

export default async function (ctx) {
  return ctx.reason === 'deprovision' ? remove(ctx) : save(ctx);
}

// Creates the user, or brings the one that is there up to date.
async function save(ctx) {
  const wanted = userOf(ctx);
  const known = ctx.previous.remoteId ?? (await find(ctx));
  if (known && (await replace(ctx, known, wanted))) return provisioned(known, 'updated');
  // There is none, or it is gone from the server: it is made anew.
  const answer = await call(ctx, 'POST', '/Users', wanted);
  if (answer.ok) return provisioned((await idIn(answer)) ?? (await find(ctx)), 'created');
  if (answer.status !== 409) throw await refused(answer, 'cannot create');
  return adopt(ctx, wanted, answer);
}

// 409: somebody has the name. When it is the same person, the server knew the
// user before us; when nobody can be found, it is another conflict.
async function adopt(ctx, wanted, conflict) {
  const found = await find(ctx);
  const updated = found && (await replace(ctx, found, wanted));
  if (!updated) throw await refused(conflict, 'cannot create');
  return provisioned(found, 'adopted');
}

// Deletes the user; one that is gone already is as good.
async function remove(ctx) {
  const id = ctx.previous.remoteId ?? (await find(ctx));
  if (!id) return { status: 'deprovisioned', message: 'there was no such user' };
  const answer = await call(ctx, 'DELETE', `/Users/${encodeURIComponent(id)}`);
  if (answer.ok) return { status: 'deprovisioned', message: 'deleted' };
  if ([404, 410].includes(answer.status)) {
    return { status: 'deprovisioned', message: 'the user was gone already' };
  }
  throw await refused(answer, 'cannot delete');
}

// Whether there is a user with that id to be replaced. What a server answers beside
// the status differs: the user, nothing, a page.
async function replace(ctx, id, wanted) {
  const answer = await call(ctx, 'PUT', `/Users/${encodeURIComponent(id)}`, { ...wanted, id });
  if ([404, 410].includes(answer.status)) return false;
  if (!answer.ok) throw await refused(answer, 'cannot update');
  return true;
}

// The id of the user with this external id, else of the one with this name. A user of
// that name with the external id of somebody else is not ours to take.
async function find(ctx) {
  const { externalId, userName } = ctx.account;
  const same = externalId && (await search(ctx, 'externalId', externalId, (value) => value === externalId));
  if (same) return same.id;
  const isName = (value) => typeof value === 'string' && value.toLowerCase() === userName.toLowerCase();
  const named = await search(ctx, 'userName', userName, isName);
  const anothers = named?.externalId && externalId && named.externalId !== externalId;
  return anothers ? undefined : named?.id;
}

// The one user of whom `is` says so. A server may not know the filter and answer with
// others, or with all.
async function search(ctx, attribute, value, is) {
  // The value of a filter is a JSON string (RFC 7644 §3.4.2.2), so quotes and
  // backslashes in it are escaped.
  const filter = `${attribute} eq ${JSON.stringify(value)}`;
  const answer = await call(ctx, 'GET', `/Users?filter=${encodeURIComponent(filter)}`);
  if (!answer.ok) throw await refused(answer, 'cannot search');
  const list = await json(answer);
  const users = list?.Resources ?? list?.resources ?? (list?.totalResults === 0 ? [] : undefined);
  if (!Array.isArray(users)) throw new Error('cannot search: the answer is no list', { cause: answer });
  const found = users.filter((user) => is(user?.[attribute]) && isId(user.id));
  if (found.length < 2) return found[0];
  throw Object.assign(new Error(`${found.length} users have this ${attribute}`), { errorClass: 'permanent' });
}

// What a JSON answer holds; undefined for any other.
async function json(answer) {
  try {
    return JSON.parse(await answer.text());
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function idIn(answer) {
  const id = (await json(answer))?.id;
  return isId(id) ? id : undefined;
}

function isId(id) {
  return typeof id === 'string' && id !== '';
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

function provisioned(id, what) {
  // Without it nobody could find the user again.
  if (!isId(id)) throw new Error(`the user was ${what}, says the server, but it has no id`);
  return { status: 'provisioned', remoteId: id, message: `${what} user ${id}` };
}

// An answer that says no. With it as the cause, the daemon tells from its status
// whether and when to try again, and honours Retry-After.
async function refused(answer, what) {
  const text = await answer.text();
  const detail = detailOf(text) ?? text.slice(0, 200);
  return new Error(`${what}: ${answer.status} ${detail}`.trim(), { cause: answer });
}

// SCIM errors are JSON with a `detail` (RFC 7644 §3.12); proxies answer otherwise.
function detailOf(text) {
  try {
    return JSON.parse(text).detail;
  } catch {
    return undefined;
  }
}
