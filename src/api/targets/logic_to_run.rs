//! Which logic is tried: the one place that says what a host loads for it.

use serde_json::Value;

use super::logic::{build, lock_of};
use super::{ApiState, EngineState};
use crate::api::turns::Making;
use crate::domain::ids::TargetId;
use crate::domain::subject::FieldError;
use crate::engine::trial::{Logic, Origin};
use crate::http::{Kind, Problem};
use crate::js::Code;
use crate::logic::{Dependencies, Language, Source};
use crate::storage::{Connection, logic};

/// What the caller asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) enum Choice {
    /// The draft, or what is published when there is none.
    Default,
    /// The draft.
    Draft,
    /// What runs now.
    Published,
    /// A published version.
    Version(i32),
    /// This text, which is not saved.
    Unsaved(Unsaved),
}

/// Source text that is not saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) struct Unsaved {
    code: String,
    language: Option<Language>,
    /// Those of the draft when absent.
    dependencies: Option<Dependencies>,
}

/// What a body says of it.
#[derive(Debug)]
pub(in crate::api) struct ChoiceBody {
    pub logic: Option<Value>,
    pub code: Option<String>,
    pub language: Option<Language>,
    pub package_dependencies: Option<Dependencies>,
}

impl ChoiceBody {
    /// Reads it; broken rules go to `errors`.
    pub(in crate::api) fn read(self, errors: &mut Vec<FieldError>) -> Choice {
        let Self { logic, code, language, package_dependencies: dependencies } = self;
        if let Some(code) = code {
            if logic.is_some() {
                errors.push(FieldError::new("logic", "does not go with `code`"));
            }
            return Choice::Unsaved(Unsaved { code, language, dependencies });
        }
        for (given, field) in
            [(language.is_some(), "language"), (dependencies.is_some(), "packageDependencies")]
        {
            if given {
                errors.push(FieldError::new(field, "goes with `code`"));
            }
        }
        match logic {
            None => Choice::Default,
            Some(Value::String(word)) if word == "draft" => Choice::Draft,
            Some(Value::String(word)) if word == "published" => Choice::Published,
            Some(value) => match value.as_i64().and_then(|number| i32::try_from(number).ok()) {
                Some(number) if number > 0 => Choice::Version(number),
                _ => {
                    let rule = "must be \"draft\", \"published\" or the number of a version";
                    errors.push(FieldError::new("logic", rule));
                    Choice::Default
                }
            },
        }
    }
}

/// The logic that is to be tried, built if it is not yet.
pub(in crate::api) async fn logic_to_run(
    state: &ApiState,
    engine: &EngineState,
    making: &Making,
    target: TargetId,
    published: Option<i32>,
    choice: Choice,
) -> Result<Logic, Problem> {
    let choice = match choice {
        Choice::Unsaved(unsaved) => {
            return making.run(target, built(state, engine, target, unsaved)).await;
        }
        other => other,
    };
    state.run(move |connection| stored(connection, target, published, &choice)).await
}

async fn built(
    state: &ApiState,
    engine: &EngineState,
    target: TargetId,
    unsaved: Unsaved,
) -> Result<Logic, Problem> {
    let draft = state.run(move |connection| logic::draft(connection, target)).await?;
    let lock = lock_of(state, draft.as_ref()).await?;
    let of_draft = || draft.and_then(|draft| serde_json::from_value(draft.package_dependencies).ok());
    let dependencies = unsaved.dependencies.or_else(of_draft).unwrap_or_default();
    let source = Source::new(&unsaved.code, unsaved.language, dependencies);
    let code = build(engine, &source, lock.as_ref()).await?;
    Ok(Logic { code, origin: Origin::Unsaved, written: Some(unsaved.code) })
}

fn stored(
    connection: &mut Connection,
    target: TargetId,
    published: Option<i32>,
    choice: &Choice,
) -> Result<Logic, Problem> {
    let number = match choice {
        Choice::Draft | Choice::Default => match logic::draft(connection, target)? {
            Some(draft) => {
                let id = draft.artefact.ok_or_else(|| none("the draft is not validated yet: validate it"))?;
                let code = code(connection, &id)?;
                return Ok(Logic { code, origin: Origin::Draft, written: Some(draft.code) });
            }
            None if *choice == Choice::Draft => return Err(none("there is no draft: save some logic first")),
            None => published,
        },
        Choice::Version(number) => Some(*number),
        Choice::Published | Choice::Unsaved(_) => published,
    };
    let number = number.ok_or_else(|| none("the target has no logic: save some first"))?;
    let found = logic::version(connection, target, number)?;
    let version =
        found.ok_or_else(|| Problem::new(Kind::NotFound, format!("there is no version {number}")))?;
    let code = code(connection, &version.artefact)?;
    Ok(Logic { code, origin: Origin::Version(number), written: None })
}

fn code(connection: &mut Connection, artefact: &str) -> Result<Code, Problem> {
    let found = logic::artefact(connection, artefact)?;
    let artefact = found.ok_or_else(|| none("what the logic was built to is gone: validate it again"))?;
    Ok(Code::new(&artefact.code, artefact.source_map.as_deref()))
}

fn none(detail: impl Into<String>) -> Problem {
    Problem::new(Kind::State, detail)
}
