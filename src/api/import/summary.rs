//! The answer to an import.

use serde::Serialize;

use crate::http::Problem;
use crate::http::problem::Kind;
use crate::plan::DeletionGuard;
use crate::storage::import::{BadLine, BatchResult, Missing};

/// A line that was not imported.
#[derive(Debug, Clone, Serialize)]
pub(super) struct LineError {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    reason: String,
}

impl LineError {
    /// A line with a fault that is no field's.
    pub(super) fn new(line: u64, reason: impl Into<String>) -> Self {
        Self { line, field: None, reason: reason.into() }
    }
}

impl From<BadLine> for LineError {
    fn from(bad: BadLine) -> Self {
        let field = Some(bad.error.field).filter(|field| !field.is_empty());
        Self { line: bad.number, field, reason: bad.error.rule }
    }
}

/// What an import did; `created + updated + unchanged + failed = lines`.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Summary {
    created: u64,
    updated: u64,
    unchanged: u64,
    deleted: u64,
    failed: u64,
    lines: u64,
    errors: Vec<LineError>,
}

impl Summary {
    /// Accounts that are new so far.
    pub(super) fn created(&self) -> u64 {
        self.created
    }

    /// Counts a bad line; describes it unless `cap` are described already.
    pub(super) fn fail(&mut self, error: LineError, cap: usize) {
        self.lines += 1;
        self.failed += 1;
        if self.errors.len() < cap {
            self.errors.push(error);
        }
    }

    /// Counts a batch.
    pub(super) fn add(&mut self, batch: BatchResult, cap: usize) {
        self.created += batch.created;
        self.updated += batch.updated;
        self.unchanged += batch.unchanged;
        self.lines += batch.created + batch.updated + batch.unchanged;
        for bad in batch.bad {
            self.fail(bad.into(), cap);
        }
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
    pub(super) fn objection(
        &self,
        missing: Missing,
        guard: &DeletionGuard,
        confirmed: bool,
    ) -> Option<Problem> {
        let allowed = missing.allowed(guard);
        let reason = if self.failed > 0 {
            format!("{} lines are bad and may name accounts that seem to be missing", self.failed)
        } else if confirmed || missing.missing == 0 {
            return None;
        } else if self.lines == 0 {
            "no line names an account; `confirmDeletions=true` allows it".to_owned()
        } else if missing.missing > allowed {
            format!(
                "{} of {} accounts are missing, more than the {} that may be deleted unasked; \
                 `confirmDeletions=true` allows it",
                missing.missing, missing.accounts, allowed
            )
        } else {
            return None;
        };
        let problem = Problem::new(Kind::DeletionGuard, reason)
            .with_member("missing", missing.missing.into())
            .with_member("accounts", missing.accounts.into())
            .with_member("allowed", allowed.into());
        let import = serde_json::to_value(self.clone().sorted()).unwrap_or_default();
        Some(problem.with_member("import", import))
    }
}
