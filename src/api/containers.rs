//! Groups, organizations and types: `/stores/{store}/groups`, `/groups/{id}`,
//! `/groups/{id}/members` and the same for the other two. The kind is a type
//! parameter of every handler.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use chrono::Utc;
use serde::Deserialize;

use super::subject_json::{ContainerBody, ContainerPatch, ContainerView, MemberView, life};
use super::turns::Reads;
use super::{ApiState, Endpoint, PREFIX, long_list};
use crate::domain::ids::SubjectId;
use crate::domain::subject::{Subject, SubjectDraft, SubjectKind};
use crate::http::auth::{Editor, Viewer};
use crate::http::etag::etag;
use crate::http::path::{Id, Path};
use crate::http::query::Query;
use crate::http::{Authorized, IfMatch, JsonBody, List, Page, Problem};
use crate::storage::subject_list::{self, Wanted};
use crate::storage::subjects::{self, SubjectPatch};
use crate::storage::{Connection, memberships, stores};

/// A kind of container, as a type.
trait Kind: 'static {
    const KIND: SubjectKind;
    const PLURAL: &'static str;
}

macro_rules! kinds {
    ($($name:ident $kind:ident $plural:literal $endpoints:ident)+) => {
        $(
            struct $name;

            impl Kind for $name {
                const KIND: SubjectKind = SubjectKind::$kind;
                const PLURAL: &'static str = $plural;
            }

            fn $endpoints() -> Vec<Endpoint> {
                vec![
                    Endpoint::get(concat!("/stores/{store}/", $plural), list::<$name>),
                    Endpoint::post(concat!("/stores/{store}/", $plural), create::<$name>),
                    Endpoint::get(concat!("/", $plural, "/{id}"), show::<$name>),
                    Endpoint::put(concat!("/", $plural, "/{id}"), replace::<$name>),
                    Endpoint::patch(concat!("/", $plural, "/{id}"), patch::<$name>),
                    Endpoint::delete(concat!("/", $plural, "/{id}"), delete::<$name>),
                    Endpoint::get(concat!("/", $plural, "/{id}/members"), members::<$name>),
                    Endpoint::post(concat!("/", $plural, "/{id}/members"), add_member::<$name>),
                    Endpoint::delete(concat!("/", $plural, "/{id}/members/{account}"), remove_member::<$name>),
                ]
            }
        )+

        pub(super) fn endpoints() -> Vec<Endpoint> {
            [$($endpoints()),+].into_iter().flatten().collect()
        }
    };
}

kinds! {
    Groups Group "groups" groups
    Organizations Organization "organizations" organizations
    Types Type "types" types
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListQuery {
    limit: Option<String>,
    cursor: Option<String>,
    external_id: Option<String>,
    deleted: Option<String>,
}

async fn list<K: Kind>(
    _: Authorized<Viewer>,
    reads: Reads,
    Path(store): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<HttpResponse, Problem> {
    let page = Page::read(query.limit.as_deref(), query.cursor.as_deref())?;
    let after = page.after_id()?;
    let (external_id, life) = (query.external_id, life(query.deleted.as_deref())?);
    let wanted = Wanted { kind: K::KIND, user_name: None, external_id, filter: None, life };
    let find = move |connection: &mut Connection| {
        let store = stores::find(connection, &store)?;
        let rows = subject_list::sizes(connection, store.id, &wanted, after, page.fetch(), Utc::now())?;
        Ok(page.found(rows))
    };
    let fetch = move |connection: &mut Connection, ids: &[i64]| {
        Ok(subject_list::load(connection, ids, life)?.into_iter().map(ContainerView::from).collect())
    };
    long_list::answer::<ContainerView>(reads, find, fetch).await
}

async fn create<K: Kind>(
    _: Authorized<Editor>,
    state: web::Data<ApiState>,
    Path(store): Path<String>,
    JsonBody(mut body): JsonBody<ContainerBody>,
) -> Result<HttpResponse, Problem> {
    let claimed = body.claimed();
    if !claimed.is_empty() {
        return Err(Problem::validation(claimed));
    }
    let members = body.members.take();
    let draft = SubjectDraft::from(body);
    let written = state
        .run(move |connection| {
            let store = stores::find(connection, &store)?;
            let create = |connection: &mut _| subjects::create(connection, store.id, K::KIND, draft);
            Ok::<_, Problem>(memberships::with_members(connection, members.as_deref(), create)?)
        })
        .await?;
    state.wake(&written.nudge);
    let location = format!("{PREFIX}/{}/{}", K::PLURAL, written.subject.id);
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, location))
        .insert_header(etag(written.subject.version))
        .json(ContainerView::from(written.subject)))
}

fn answer(subject: Subject) -> HttpResponse {
    HttpResponse::Ok().insert_header(etag(subject.version)).json(ContainerView::from(subject))
}

async fn show<K: Kind>(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    Id(id): Id<SubjectId>,
) -> Result<HttpResponse, Problem> {
    Ok(answer(state.run(move |connection| subjects::find(connection, K::KIND, id)).await?))
}

/// Members that the body does not speak of stay: the answer to a GET does not
/// list them, and sending it back must not empty the group.
async fn replace<K: Kind>(
    _: Authorized<Editor>,
    state: web::Data<ApiState>,
    Id(id): Id<SubjectId>,
    if_match: IfMatch,
    JsonBody(mut body): JsonBody<ContainerBody>,
) -> Result<HttpResponse, Problem> {
    let members = body.members.take();
    let draft = SubjectDraft::from(body);
    let written = state
        .run(move |connection| {
            memberships::with_members(connection, members.as_deref(), |connection| {
                subjects::replace(connection, K::KIND, id, draft, if_match.versions())
            })
        })
        .await?;
    state.wake(&written.nudge);
    Ok(answer(written.subject))
}

async fn patch<K: Kind>(
    _: Authorized<Editor>,
    state: web::Data<ApiState>,
    Id(id): Id<SubjectId>,
    if_match: IfMatch,
    JsonBody(mut body): JsonBody<ContainerPatch>,
) -> Result<HttpResponse, Problem> {
    let members = body.take_members();
    let patch = SubjectPatch::from(body);
    let written = state
        .run(move |connection| {
            memberships::with_members(connection, members.as_deref(), |connection| {
                subjects::patch(connection, K::KIND, id, &patch, if_match.versions())
            })
        })
        .await?;
    state.wake(&written.nudge);
    Ok(answer(written.subject))
}

async fn delete<K: Kind>(
    _: Authorized<Editor>,
    state: web::Data<ApiState>,
    Id(id): Id<SubjectId>,
    if_match: IfMatch,
) -> Result<HttpResponse, Problem> {
    let written =
        state.run(move |connection| subjects::delete(connection, K::KIND, id, if_match.versions())).await?;
    state.wake(&written.nudge);
    Ok(HttpResponse::NoContent().finish())
}

async fn members<K: Kind>(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    Id(id): Id<SubjectId>,
    page: Page,
) -> Result<web::Json<List<MemberView>>, Problem> {
    let (after, fetch) = (page.after_id()?, page.fetch());
    let rows = state
        .run(move |connection| {
            let container = subjects::find(connection, K::KIND, id)?;
            Ok::<_, Problem>(memberships::page(connection, container.id, after, fetch)?)
        })
        .await?;
    Ok(web::Json(page.list(rows, |member| member.id.to_string())))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
struct NewMember {
    account_id: SubjectId,
}

async fn add_member<K: Kind>(
    _: Authorized<Editor>,
    state: web::Data<ApiState>,
    Id(id): Id<SubjectId>,
    JsonBody(new): JsonBody<NewMember>,
) -> Result<HttpResponse, Problem> {
    let written =
        state.run(move |connection| memberships::add(connection, K::KIND, id, new.account_id)).await?;
    state.wake(&written.nudge);
    Ok(answer(written.subject))
}

async fn remove_member<K: Kind>(
    _: Authorized<Editor>,
    state: web::Data<ApiState>,
    Path((id, account)): Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (id, account) = (id.parse()?, account.parse()?);
    let written = state.run(move |connection| memberships::remove(connection, K::KIND, id, account)).await?;
    state.wake(&written.nudge);
    Ok(HttpResponse::NoContent().finish())
}
