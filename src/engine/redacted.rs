//! What logic says, without secrets. It has none, but a service may echo one in
//! a form that egress does not know, and logic may print or return handles,
//! which mean nothing later.

use crate::egress::TargetPolicy;
use crate::js::{RunEnd, RunOutcome, Thrown};

/// Takes secrets out of everything that is kept of a run, its exchanges apart.
pub fn redacted(end: RunEnd, policy: &TargetPolicy) -> RunEnd {
    let RunEnd { outcome, mut console } = end;
    for line in &mut console {
        line.text = policy.redact(&line.text);
    }
    let outcome = match outcome {
        RunOutcome::Returned(mut value) => {
            policy.redact_value(&mut value);
            RunOutcome::Returned(value)
        }
        RunOutcome::Threw(Thrown { message, stack, error_class, retry_after }) => {
            let (message, stack) = (policy.redact(&message), stack.map(|stack| policy.redact(&stack)));
            RunOutcome::Threw(Thrown { message, stack, error_class, retry_after })
        }
        RunOutcome::Limit(sentence) => RunOutcome::Limit(policy.redact(&sentence)),
        RunOutcome::TimedOut(sentence) => RunOutcome::TimedOut(policy.redact(&sentence)),
        RunOutcome::Interrupted(sentence) => RunOutcome::Interrupted(policy.redact(&sentence)),
        RunOutcome::Killed(sentence) => RunOutcome::Killed(policy.redact(&sentence)),
    };
    RunEnd { outcome, console }
}
