//! The answer to an import.

use serde::Serialize;

use super::set_aside;
use crate::domain::subject::FieldError;
use crate::http::Problem;
use crate::http::problem::Kind;
use crate::plan::DeletionGuard;
use crate::storage::import::{BadLine, BatchResult, Keys, Missing};

/// A line that was not imported.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LineError {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    reason: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    set_aside: bool,
    #[serde(skip)]
    keys: Keys,
}

impl LineError {
    /// A line with a fault that is no field's.
    pub(super) fn new(line: u64, reason: impl Into<String>) -> Self {
        Self { line, field: None, reason: reason.into(), set_aside: false, keys: Keys::default() }
    }

    /// A line with a field that breaks a rule.
    pub(super) fn of(line: u64, error: FieldError) -> Self {
        let field = Some(error.field).filter(|field| !field.is_empty());
        Self { field, ..Self::new(line, error.rule) }
    }

    /// The same of a line that is about this account.
    pub(super) fn about(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// Its number.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Whom it is about.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }
}

impl From<BadLine> for LineError {
    fn from(bad: BadLine) -> Self {
        Self::of(bad.number, bad.error).about(bad.keys)
    }
}

/// What an import did;
/// `created + updated + restored + unchanged + failed + setAside = lines`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    created: u64,
    updated: u64,
    restored: u64,
    unchanged: u64,
    deleted: u64,
    failed: u64,
    set_aside: u64,
    lines: u64,
    errors: Vec<LineError>,
}

impl Summary {
    /// Accounts that are new so far.
    pub(super) fn created(&self) -> u64 {
        self.created
    }

    /// Counts a bad line; describes it unless `cap` are described already.
    pub(super) fn fail(&mut self, error: LineError, set_aside: bool, cap: usize) {
        self.lines += 1;
        *(if set_aside { &mut self.set_aside } else { &mut self.failed }) += 1;
        if self.errors.len() < cap {
            self.errors.push(LineError { set_aside, ..error });
        }
    }

    /// Counts what a batch has written.
    pub(super) fn add(&mut self, batch: &BatchResult) {
        self.created += batch.created;
        self.updated += batch.updated;
        self.restored += batch.restored;
        self.unchanged += batch.unchanged;
        self.lines += batch.created + batch.updated + batch.restored + batch.unchanged;
    }

    /// Counts deletions.
    pub(super) fn deleted(&mut self, deleted: u64) {
        self.deleted += deleted;
    }

    /// The summary with its errors in the order of the lines.
    pub(super) fn sorted(mut self) -> Self {
        self.errors.sort_by_key(|error| error.line);
        self
    }

    /// Why accounts that no line named must stay, `None` when they need not.
    /// `waiting` lines have not been counted yet.
    pub(super) fn objection(
        &self,
        waiting: usize,
        missing: Missing,
        guard: &DeletionGuard,
        confirmed: bool,
    ) -> Option<String> {
        let allowed = missing.allowed(guard);
        if self.failed > 0 {
            Some(format!(
                "{} lines are bad and may name accounts that seem to be missing; mend them, or set them aside \
                 with `{}` or `{}`",
                self.failed,
                set_aside::LINE,
                set_aside::KEY
            ))
        } else if confirmed || missing.missing == 0 {
            None
        } else if self.lines == 0 && waiting == 0 {
            Some("no line names an account; `confirmDeletions=true` allows it".to_owned())
        } else if missing.missing > allowed {
            Some(format!(
                "{} of {} accounts are missing, more than the {} that may be deleted unasked; \
                 `confirmDeletions=true` allows it",
                missing.missing, missing.accounts, allowed
            ))
        } else {
            None
        }
    }

    /// The answer to an import that deletes nothing, with what it did and the lines
    /// that are bad.
    pub(super) fn refuse(self, reason: String, missing: Missing, guard: &DeletionGuard) -> Problem {
        let import = serde_json::to_value(self.sorted()).unwrap_or_default();
        Problem::new(Kind::DeletionGuard, reason)
            .with_member("missing", missing.missing.into())
            .with_member("accounts", missing.accounts.into())
            .with_member("allowed", missing.allowed(guard).into())
            .with_member("import", import)
    }
}
