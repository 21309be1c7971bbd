//! What differs between two versions, or a version and the draft.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::HttpResponse;
use serde::Deserialize;
use serde_json::{Value, json};
use similar::TextDiff;

use super::Endpoint;
use crate::api::turns::Reads;
use crate::domain::ids::TargetId;
use crate::http::auth::Viewer;
use crate::http::path::Id;
use crate::http::query::Query;
use crate::http::{Authorized, Kind, Problem};
use crate::storage::{Connection, logic, targets};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get("/targets/{id}/logic/diff", show)]
}

/// How long the shortest difference is looked for.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DiffQuery {
    /// A version's number, `published` or `draft`.
    from: Option<String>,
    to: Option<String>,
}

struct Side {
    name: String,
    code: String,
    dependencies: Value,
    packages: BTreeMap<String, String>,
}

/// By default, what publishing the draft would change.
async fn show(
    _: Authorized<Viewer>,
    reads: Reads,
    Id(id): Id<TargetId>,
    Query(query): Query<DiffQuery>,
) -> Result<HttpResponse, Problem> {
    let (from, to) = (query.from.unwrap_or("published".into()), query.to.unwrap_or("draft".into()));
    let (text, one, other) = reads
        .run(move |connection| {
            let one = side(connection, id, "from", &from)?;
            let other = side(connection, id, "to", &to)?;
            Ok::<_, Problem>((unified(&one, &other), one, other))
        })
        .await?;
    Ok(HttpResponse::Ok().json(json!({
        "targetId": id,
        "from": one.name,
        "to": other.name,
        "diff": text,
        "packageDependencies": { "from": one.dependencies, "to": other.dependencies },
        "packages": changed(&one.packages, &other.packages),
    })))
}

/// After [`PATIENCE`] what is left is told apart roughly: lines that are the same
/// may stand as removed and added.
fn unified(one: &Side, other: &Side) -> String {
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(&one.code, &other.code);
    diff.unified_diff().context_radius(3).header(&one.name, &other.name).to_string()
}

fn side(connection: &mut Connection, id: TargetId, parameter: &str, name: &str) -> Result<Side, Problem> {
    let target = targets::find(connection, id)?;
    if name == "draft" {
        let draft = logic::draft(connection, id)?.ok_or_else(super::no_draft)?;
        let packages = packages(connection, draft.artefact.as_deref())?;
        let (code, dependencies) = (draft.code, draft.package_dependencies);
        return Ok(Side { name: "draft".into(), code, dependencies, packages });
    }
    let number = match name {
        "published" => target.logic_version.ok_or_else(|| missing("there is no published version"))?,
        number => number.parse().map_err(|_| {
            Problem::parameter(parameter, "must be a version's number, `published` or `draft`")
        })?,
    };
    let version = logic::version(connection, id, number)?
        .ok_or_else(|| missing(&format!("there is no version {number}")))?;
    let packages = packages(connection, Some(&version.artefact))?;
    let (code, dependencies) = (version.code, version.package_dependencies);
    Ok(Side { name: format!("version {number}"), code, dependencies, packages })
}

fn missing(sentence: &str) -> Problem {
    Problem::new(Kind::NotFound, sentence)
}

/// Exact versions by name; of a package that is there twice, both.
fn packages(
    connection: &mut Connection,
    artefact: Option<&str>,
) -> Result<BTreeMap<String, String>, Problem> {
    let artefact = artefact.map(|id| logic::artefact(connection, id)).transpose()?.flatten();
    let mut packages: BTreeMap<String, String> = BTreeMap::new();
    for package in artefact.iter().filter_map(|artefact| artefact.packages.as_array()).flatten() {
        let (Some(name), Some(version)) = (package["name"].as_str(), package["version"].as_str()) else {
            continue;
        };
        packages
            .entry(name.into())
            .and_modify(|versions| versions.push_str(&format!(", {version}")))
            .or_insert_with(|| version.into());
    }
    Ok(packages)
}

fn changed(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Vec<Value> {
    let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
    let differs = |name: &&String| one.get(*name) != other.get(*name);
    names
        .filter(differs)
        .map(|name| json!({ "name": name, "from": one.get(name), "to": other.get(name) }))
        .collect()
}
