//! What is kept of a run, without secrets and credentials. Logic has no secrets,
//! but a service may echo one in a form that egress does not know, and logic may
//! print or return handles, which mean nothing later. Credentials that are no
//! secrets of the target (the password of an account, a token that logic bought)
//! it does have, and so may whatever it says.

use serde_json::Value;

use crate::egress::{Hider, Seen, TargetPolicy};
use crate::js::{RunEnd, RunOutcome, Thrown};
use crate::storage::claim::Claimed;

/// Credentials that a run knows besides those in its exchanges: of the account,
/// of what was kept of earlier runs, of what logic returned.
pub fn credentials(claimed: &Claimed, end: Option<&RunEnd>) -> Seen {
    let mut seen = Seen::default();
    for (name, value) in &claimed.subject.attributes {
        seen.note_member(name, value);
    }
    if let Some(metadata) = &claimed.metadata {
        seen.note_all(metadata);
    }
    if let Some(RunEnd { outcome: RunOutcome::Returned(value), .. }) = end {
        seen.note_all(value);
    }
    seen
}

/// What the account is called, which is no credential even if it is used as one.
pub fn names(claimed: &Claimed) -> Vec<&str> {
    let subject = &claimed.subject;
    [&subject.user_name, &subject.external_id, &subject.display_name, &claimed.remote_id]
        .into_iter()
        .filter_map(|name| name.as_deref())
        .collect()
}

/// Takes secrets and credentials out of everything that is kept of a run, its
/// exchanges apart.
pub fn redacted(end: RunEnd, policy: &TargetPolicy, hider: Option<&Hider>) -> RunEnd {
    let clean = |text: &str| {
        let text = policy.redact(text);
        match hider {
            Some(hider) => hider.text(&text).into_owned(),
            None => text,
        }
    };
    let RunEnd { outcome, mut console } = end;
    for line in &mut console {
        line.text = clean(&line.text);
    }
    let outcome = match outcome {
        RunOutcome::Returned(mut value) => {
            policy.redact_value(&mut value);
            if let Some(hider) = hider {
                hide_in_answer(&mut value, hider);
            }
            RunOutcome::Returned(value)
        }
        RunOutcome::Threw(Thrown { message, stack, error_class, retry_after }) => {
            let (message, stack) = (clean(&message), stack.map(|stack| clean(&stack)));
            RunOutcome::Threw(Thrown { message, stack, error_class, retry_after })
        }
        RunOutcome::Limit(sentence) => RunOutcome::Limit(clean(&sentence)),
        RunOutcome::TimedOut(sentence) => RunOutcome::TimedOut(clean(&sentence)),
        RunOutcome::Interrupted(sentence) => RunOutcome::Interrupted(clean(&sentence)),
        RunOutcome::Killed(sentence) => RunOutcome::Killed(clean(&sentence)),
    };
    RunEnd { outcome, console }
}

/// What logic hands over for other runs (`attributes`, a token in `metadata`,
/// `remoteId`) has to arrive; passwords are nothing that `metadata` is for.
fn hide_in_answer(answer: &mut Value, hider: &Hider) {
    if let Some(Value::String(message)) = answer.get_mut("message") {
        *message = hider.text(message).into_owned();
    }
    if let Some(metadata) = answer.get_mut("metadata") {
        hider.passwords_in(metadata);
    }
}
