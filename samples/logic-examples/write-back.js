// Asks a directory for the employee number and writes it back to the account,
// where every other target of the store sees it as a change. This target does
// not run again because of it.
//
// connection.properties: { "url": "https://hr.example.org" }
// connection.secrets:    { "key": "…" }
// connection.secretHosts: { "key": ["hr.example.org"] }

import { log } from "provisiond";

/** @type {import("provisiond").Logic<{ attributes: { employeeNumber?: string }, connection: { url: string } }>} */
export default async function (ctx) {
  // There is nothing of ours in that system: nothing to remove either.
  if (ctx.reason === "deprovision") return { status: "deprovisioned" };

  const query = new URLSearchParams({ login: ctx.account.userName });
  const response = await fetch(`${ctx.connection.url}/people?${query}`, {
    headers: { "x-api-key": ctx.connection.secrets.key },
  });
  if (response.status === 404) {
    log.info("no such person yet", ctx.account.userName);
    return { status: "provisionNotNeeded", message: "unknown there; asks again in an hour", runAgainIn: "PT1H" };
  }
  if (!response.ok) throw new Error(`looking the person up: ${response.status}`, { cause: response });

  const person = await response.json();
  // A service that does not know the parameter answers with somebody else.
  if (person?.login !== ctx.account.userName) throw new Error("the directory answered with another person");
  if (typeof person.id !== "string" || typeof person.number !== "string") {
    throw new Error("the directory knows no id or no number of the person");
  }
  return {
    status: "provisioned",
    remoteId: person.id,
    // A merge patch: names that are not here stay, null removes one. Nothing is
    // written when the value is the same.
    attributes: { employeeNumber: person.number },
  };
}
