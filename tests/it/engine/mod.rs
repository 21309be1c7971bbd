//! The engine from outside: changes in, calls at a real HTTP server out.

mod breaker;
mod crash;
mod credentials;
mod dead_letters;
mod dependencies;
mod failures;
mod filter_doubts;
mod former_holders;
mod held;
mod inside;
mod isolation;
mod lifecycle;
mod nodes;
mod order;
mod poison;
mod returning;
mod scim;
mod secrets;
mod statuses;
mod sweeps;
mod trial;
mod trial_lanes;
mod trial_plans;
mod trial_records;
mod trial_replay;
mod triggers;
mod write_back;

use serde_json::{Value, json};

use crate::support::sink::Sink;

/// Logic that posts every run to the sink and succeeds.
pub const RECORD: &str = r#"
    export default async function (ctx) {
        const response = await fetch(ctx.target.config.url + "/" + ctx.reason, {
            method: "POST",
            headers: { "content-type": "application/json", "idempotency-key": ctx.idempotencyKey },
            body: JSON.stringify({
                user: ctx.account.userName, id: ctx.account.id, version: ctx.account.version,
                trigger: ctx.trigger, changes: ctx.changes, attempt: ctx.attempt,
                attributes: ctx.account.attributes, previous: ctx.previous,
                groups: ctx.groups.map((group) => group.displayName),
            }),
        });
        if (!response.ok) throw new Error(`the sink answered ${response.status}`);
        return {
            status: ctx.reason === "provision" ? "provisioned" : "deprovisioned",
            remoteId: "r-" + ctx.account.id,
        };
    }
"#;

/// Settings of a target that may reach the sink.
pub fn settings(name: &str, sink: &Sink) -> Value {
    json!({ "name": name, "egressAllow": [sink.address], "config": { "url": sink.url } })
}

/// The same with more members.
pub fn settings_with(name: &str, sink: &Sink, more: Value) -> Value {
    let mut settings = settings(name, sink);
    for (member, value) in more.as_object().unwrap() {
        settings[member] = value.clone();
    }
    settings
}
