//! What was published, when, by whom and why.

use std::collections::HashMap;
use std::io;

use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use futures_util::{StreamExt as _, stream};

use super::view::VersionView;
use super::{ApiState, Endpoint};
use crate::api::turns::Reads;
use crate::domain::ids::TargetId;
use crate::http::auth::Viewer;
use crate::http::path::{Id, Path};
use crate::http::{Authorized, Kind, List, Page, Problem};
use crate::storage::canaries::{self, CanaryRow};
use crate::storage::logic::{self, Artefact, Version, VersionHead};
use crate::storage::{Connection, targets};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/targets/{id}/logic/versions", list),
        Endpoint::get("/targets/{id}/logic/versions/{version}", show),
        Endpoint::get("/targets/{id}/logic/versions/{version}/bundle", show_bundle),
    ]
}

/// Versions that are shown beside the draft; the list has the others.
const NEWEST: i64 = 50;

/// The newest ones, newest first.
pub(super) fn newest(connection: &mut Connection, target: TargetId) -> Result<Vec<VersionView>, Problem> {
    let heads = logic::versions(connection, target, None, NEWEST)?;
    let listed = with_canaries(connection, target, heads)?;
    Ok(listed.into_iter().map(VersionView::from).collect())
}

/// A version, and its latest trial.
type Listed = (VersionHead, Option<CanaryRow>);

impl From<Listed> for VersionView {
    fn from((head, canary): Listed) -> Self {
        Self::listed(head, canary.as_ref())
    }
}

fn with_canaries(
    connection: &mut Connection,
    target: TargetId,
    heads: Vec<VersionHead>,
) -> Result<Vec<Listed>, Problem> {
    let numbers: Vec<i32> = heads.iter().map(|head| head.version).collect();
    let canaries = canaries::of_versions(connection, target, &numbers)?;
    let mut latest: HashMap<i32, CanaryRow> =
        canaries.into_iter().map(|canary| (canary.canary().version, canary)).collect();
    let with_canary = |head: VersionHead| {
        let canary = latest.remove(&head.version);
        (head, canary)
    };
    Ok(heads.into_iter().map(with_canary).collect())
}

async fn list(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    Id(id): Id<TargetId>,
    page: Page,
) -> Result<web::Json<List<VersionView>>, Problem> {
    let (after, fetch) = (page.after_id()?, page.fetch());
    let before = (after > 0).then(|| i32::try_from(after).unwrap_or(i32::MAX));
    let found = state
        .run(move |connection| {
            targets::find(connection, id)?;
            let heads = logic::versions(connection, id, before, fetch)?;
            with_canaries(connection, id, heads)
        })
        .await?;
    Ok(web::Json(page.list(found, |(head, _)| head.version.to_string())))
}

async fn show(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    Path((id, number)): Path<(TargetId, i32)>,
) -> Result<HttpResponse, Problem> {
    let (version, artefact, canary) = state
        .run(move |connection| {
            let (version, artefact) = find(connection, id, number)?;
            let canary = canaries::of_versions(connection, id, &[number])?.pop();
            Ok::<_, Problem>((version, artefact, canary))
        })
        .await?;
    Ok(HttpResponse::Ok().json(VersionView::of(version, Some(&artefact), canary.as_ref())))
}

/// The very text that hosts run. It never changes.
async fn show_bundle(
    _: Authorized<Viewer>,
    reads: Reads,
    Path((id, number)): Path<(TargetId, i32)>,
) -> Result<HttpResponse, Problem> {
    let found = reads.run(move |connection| {
        let version = logic::version(connection, id, number)?.ok_or_else(missing)?;
        let first = logic::part_of_code(connection, &version.artefact, 0, PART)?.ok_or_else(missing)?;
        Ok::<_, Problem>((version.artefact, first))
    });
    let (artefact, first) = found.await?;
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CONTENT_TYPE, "text/javascript; charset=utf-8"))
        // Nothing that a browser is to run or show.
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"logic-{id}-{number}.js\"")));
    if is_last(&first) {
        return Ok(answer.body(first));
    }
    let begin = stream::once(async move { Ok::<_, io::Error>(Bytes::from(first)) });
    let rest = stream::try_unfold(Some((reads, artefact, PART)), rest_of_code);
    Ok(answer.streaming(begin.chain(rest)))
}

/// Characters of a bundle that are read at a time, as the client takes them: one
/// may have 16 MiB.
const PART: i32 = 512 * 1024;

fn is_last(part: &str) -> bool {
    part.chars().count() < PART as usize
}

/// What is still to be sent of a bundle, with how much was.
type RestOfCode = Option<(Reads, String, i32)>;

async fn rest_of_code(rest: RestOfCode) -> io::Result<Option<(Bytes, RestOfCode)>> {
    let Some((reads, artefact, sent)) = rest else { return Ok(None) };
    let id = artefact.clone();
    let part = reads.run(move |connection| logic::part_of_code(connection, &id, sent, PART)).await;
    // The status has gone out: all that is left is to break off.
    let part = part.map_err(|problem| io::Error::other(problem.to_string()))?;
    let part = part.ok_or_else(|| io::Error::other("the artefact is gone"))?;
    let left = (!is_last(&part)).then(|| (reads, artefact, sent.saturating_add(PART)));
    Ok(Some((Bytes::from(part), left)))
}

fn missing() -> Problem {
    Problem::new(Kind::NotFound, "there is no such version")
}

fn find(connection: &mut Connection, id: TargetId, number: i32) -> Result<(Version, Artefact), Problem> {
    let version = logic::version(connection, id, number)?.ok_or_else(missing)?;
    let artefact = logic::artefact(connection, &version.artefact)?.ok_or_else(missing)?;
    Ok((version, artefact))
}
