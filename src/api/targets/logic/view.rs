//! Drafts, versions and trials as the API shows them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::domain::canary::Share;
use crate::domain::ids::TokenId;
use crate::storage::canaries::CanaryRow;
use crate::storage::logic::{Artefact, Draft, Version, VersionHead};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ArtefactView {
    id: String,
    /// Bytes of what hosts load.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packages: Option<Value>,
}

impl ArtefactView {
    fn of(id: String, artefact: Option<&Artefact>) -> Self {
        let size = artefact.map(|artefact| artefact.code.len());
        Self { id, size, packages: artefact.map(|artefact| artefact.packages.clone()) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DraftView {
    code: String,
    /// Null while nobody knows.
    language: Option<String>,
    package_dependencies: Value,
    /// `validated` when it could be published: it was built, and its tests passed.
    state: &'static str,
    artefact: Option<ArtefactView>,
    report: Value,
    saved_by: String,
    saved_by_token_id: Option<TokenId>,
    saved_by_address: Option<String>,
    updated_at: DateTime<Utc>,
}

impl DraftView {
    pub fn of(draft: Draft, artefact: Option<&Artefact>) -> Self {
        let tests = draft.report["tests"].as_array().map_or(&[][..], Vec::as_slice);
        let passed = tests.iter().all(|test| test["passed"] == true);
        let state = if draft.artefact.is_some() && passed { "validated" } else { "draft" };
        Self {
            code: draft.code,
            language: draft.language,
            package_dependencies: draft.package_dependencies,
            state,
            artefact: draft.artefact.map(|id| ArtefactView::of(id, artefact)),
            report: draft.report,
            saved_by: draft.saved_by,
            saved_by_token_id: draft.saved_by_token.map(TokenId),
            saved_by_address: draft.saved_by_address,
            updated_at: draft.updated_at,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VersionView {
    version: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    language: String,
    package_dependencies: Value,
    artefact: ArtefactView,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Value>,
    published_by: String,
    published_by_token_id: Option<TokenId>,
    published_by_address: Option<String>,
    published_at: DateTime<Utc>,
    note: String,
    restores: Option<i32>,
    /// How its trial stands or ended, if some accounts ran it first.
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<CanaryView>,
}

impl VersionView {
    /// Without the source text and what was found about it.
    pub fn listed(head: VersionHead, canary: Option<&CanaryRow>) -> Self {
        Self {
            version: head.version,
            code: None,
            language: head.language,
            package_dependencies: head.package_dependencies,
            artefact: ArtefactView::of(head.artefact, None),
            report: None,
            published_by: head.published_by,
            published_by_token_id: head.published_by_token.map(TokenId),
            published_by_address: head.published_by_address,
            published_at: head.published_at,
            note: head.note,
            restores: head.restores,
            canary: canary.map(CanaryView::of),
        }
    }

    /// With them.
    pub fn of(version: Version, artefact: Option<&Artefact>, canary: Option<&CanaryRow>) -> Self {
        let (code, report) = (Some(version.code.clone()), Some(version.report.clone()));
        let view = Self::listed(version.into(), canary);
        Self { artefact: ArtefactView::of(view.artefact.id, artefact), code, report, ..view }
    }
}

/// A trial as it stands or ended.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct CanaryView {
    state: String,
    version: i32,
    base_version: i32,
    /// How many subjects were chosen; not known of a share of many.
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<usize>,
    /// So many in a hundred, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<u8>,
    max_failure_percent: u8,
    min_runs: u32,
    figures: [FiguresView; 2],
    started_by: String,
    started_by_token_id: Option<TokenId>,
    started_by_address: Option<String>,
    started_at: DateTime<Utc>,
    ended_by: Option<String>,
    ended_by_token_id: Option<TokenId>,
    ended_by_address: Option<String>,
    ended_at: Option<DateTime<Utc>>,
    reason: String,
}

/// How the runs of a version ended since the trial began.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FiguresView {
    version: i32,
    runs: i64,
    failures: i64,
}

impl CanaryView {
    pub fn of(row: &CanaryRow) -> Self {
        let (canary, figures) = (row.canary(), row.figures());
        let (accounts, percent) = match &canary.share {
            Share::Subjects(subjects) => (Some(subjects.len()), None),
            Share::Sample(percent, subjects) => (Some(subjects.len()), Some(*percent)),
            Share::Percent(percent) => (None, Some(*percent)),
        };
        Self {
            state: row.state.clone(),
            version: canary.version,
            base_version: row.base_version,
            accounts,
            percent,
            max_failure_percent: canary.max_failure_percent,
            min_runs: canary.min_runs,
            figures: [
                FiguresView { version: canary.version, runs: figures.runs, failures: figures.failures },
                FiguresView {
                    version: row.base_version,
                    runs: figures.base_runs,
                    failures: figures.base_failures,
                },
            ],
            started_by: row.started_by.clone(),
            started_by_token_id: row.started_by_token.map(TokenId),
            started_by_address: row.started_by_address.clone(),
            started_at: row.started_at,
            ended_by: row.ended_by.clone(),
            ended_by_token_id: row.ended_by_token.map(TokenId),
            ended_by_address: row.ended_by_address.clone(),
            ended_at: row.ended_at,
            reason: row.reason.clone(),
        }
    }
}
