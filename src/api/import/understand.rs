//! From the text of a line to the account that it describes.

use serde_json::Value;

use super::lines::RawLine;
use super::summary::LineError;
use crate::api::subject_json::AccountBody;
use crate::http::json::{self, BadJsonText};
use crate::storage::import::{Keys, Line};

/// Reads lines as accounts.
pub(super) fn understand(batch: Vec<RawLine>) -> (Vec<Line>, Vec<LineError>) {
    let (mut lines, mut bad) = (Vec::with_capacity(batch.len()), Vec::new());
    for RawLine { number, text } in batch {
        let Some(text) = text else {
            bad.push(LineError::new(number, "is longer than a line may be"));
            continue;
        };
        match account(&text) {
            Ok(body) => lines.push(Line { number, draft: body.into() }),
            Err(BadJsonText::Syntax(message)) => {
                // Each line is a text of its own, whose first line it is.
                let message = message.replace(" at line 1 column ", " at column ");
                bad.push(LineError::new(number, format!("not JSON: {message}")).about(keys(&text)));
            }
            Err(BadJsonText::Rule(error)) => bad.push(LineError::of(number, error).about(keys(&text))),
        }
    }
    (lines, bad)
}

fn account(text: &[u8]) -> Result<AccountBody, BadJsonText> {
    let body: AccountBody = json::read(text)?;
    match body.claimed().into_iter().next() {
        Some(error) => Err(BadJsonText::Rule(error)),
        None => Ok(body),
    }
}

/// Whom a line is about that breaks a rule.
fn keys(text: &[u8]) -> Keys {
    let value: Value = serde_json::from_slice(text).unwrap_or_default();
    let name = |field: &str| value[field].as_str().map(str::to_owned).filter(|name| !name.contains('\0'));
    Keys { external_id: name("externalId"), user_name: name("userName") }
}
