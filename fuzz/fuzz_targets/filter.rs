//! A filter and, behind a line break, the attributes of a subject.
#![no_main]

use chrono::DateTime;
use libfuzzer_sys::fuzz_target;
use provisiond::domain::filter::Filter;
use provisiond::domain::ids::{StoreId, SubjectId};
use provisiond::domain::subject::{Subject, SubjectKind, SubjectStatus};

fuzz_target!(|text: &str| {
    let (source, attributes) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(filter) = Filter::parse(source) else { return };
    let printed = filter.to_string();
    let again = Filter::parse(&printed).unwrap_or_else(|error| panic!("{printed}: {error}"));
    assert_eq!(again.expression(), filter.expression(), "{printed}");
    let subject = subject(serde_json::from_str(attributes).unwrap_or_default());
    assert_eq!(again.matches(&subject, DateTime::UNIX_EPOCH), filter.matches(&subject, DateTime::UNIX_EPOCH));
});

fn subject(attributes: serde_json::Map<String, serde_json::Value>) -> Subject {
    Subject {
        id: SubjectId(1),
        store: StoreId(1),
        kind: SubjectKind::Account,
        external_id: None,
        user_name: Some("ada".into()),
        display_name: Some("Ada".into()),
        status: SubjectStatus::Active,
        attributes,
        version: 1,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
        deleted_at: None,
        containers: Vec::new(),
    }
}
