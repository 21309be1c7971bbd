//! Whatever the feeds of a source say one after another, the store says the same:
//! people join, leave, come back, take over each other's names and swap them.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::Method;
use serde_json::{Value, json};

use super::super::support::TestApi;

const PEOPLE: usize = 9;
const GROUPS: [&str; 4] = ["Sales", "Ops", "12", "007"];

/// Someone in a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Person {
    name: usize,
    groups: BTreeSet<&'static str>,
    organization: Option<usize>,
    room: usize,
}

/// A feed: external ids in the order of the lines.
type Feed = Vec<(usize, Person)>;

fn feed() -> impl Strategy<Value = Feed> {
    let order = Just((0..PEOPLE).collect::<Vec<_>>()).prop_shuffle();
    let names = Just((0..PEOPLE).collect::<Vec<_>>()).prop_shuffle();
    let detail = (
        any::<[bool; GROUPS.len()]>(),
        proptest::option::of(0_usize..3),
        0_usize..2,
        // Most keep their name: their own number.
        proptest::bool::weighted(0.3),
    );
    let details = proptest::collection::vec(detail, PEOPLE);
    (order, names, details, 1..=PEOPLE).prop_map(|(order, names, details, count)| {
        let here: Vec<usize> = order.into_iter().take(count).collect();
        let kept: BTreeSet<usize> = here.iter().copied().filter(|id| !details[*id].3).collect();
        let mut others = names.into_iter().filter(|name| !kept.contains(name));
        here.into_iter()
            .map(|id| {
                let (groups, organization, room, _) = &details[id];
                let groups = GROUPS.iter().zip(groups).filter(|(_, is_member)| **is_member);
                let groups = groups.map(|(group, _)| *group).collect();
                let name = if kept.contains(&id) { id } else { others.next().unwrap() };
                (id, Person { name, groups, organization: *organization, room: *room })
            })
            .collect()
    })
}

fn text(feed: &Feed) -> String {
    let line = |(id, person): &(usize, Person)| {
        let line = json!({
            "externalId": format!("E{id}"), "userName": format!("n{}", person.name), "groups": person.groups,
            "organization": person.organization.map(|number| format!("{number}")),
            "attributes": { "room": person.room },
        });
        format!("{line}\n")
    };
    feed.iter().map(line).collect()
}

async fn import(api: &TestApi, store: &str, feed: &Feed) -> Value {
    let path = format!("/stores/{store}/import?deleteMissing=true&confirmDeletions=true");
    let request = api.request(Method::POST, &path).header("content-type", "application/jsonl");
    api.send(request.body(text(feed))).await.expect(200)
}

/// The living accounts: what is said of each, and id and version, by external id.
async fn stored(api: &TestApi, store: &str) -> BTreeMap<usize, (Person, (String, i64))> {
    let list = api.get(&format!("/stores/{store}/accounts?limit=500")).await.expect(200);
    let number = |value: &Value| value.as_str().and_then(|text| text[1..].parse::<usize>().ok()).unwrap();
    let account = |account: &Value| {
        let groups = account["groups"].as_array().unwrap();
        let person = Person {
            name: number(&account["userName"]),
            groups: GROUPS.into_iter().filter(|group| groups.contains(&json!(group))).collect(),
            organization: account["organization"].as_str().map(|name| name.parse().unwrap()),
            room: account["attributes"]["room"].as_u64().unwrap().try_into().unwrap(),
        };
        let identity = (account["id"].as_str().unwrap().to_owned(), account["version"].as_i64().unwrap());
        (number(&account["externalId"]), (person, identity))
    };
    list["items"].as_array().unwrap().iter().map(account).collect()
}

async fn play(api: &TestApi, store: &str, feeds: &[Feed]) -> Result<(), TestCaseError> {
    api.post("/stores", json!({ "name": store })).await.expect(201);
    let mut known: BTreeMap<usize, (String, i64)> = BTreeMap::new();
    for feed in feeds {
        let report = import(api, store, feed).await;
        prop_assert_eq!(&report["failed"], 0, "{}", report);
        let stored = stored(api, store).await;
        let said: BTreeMap<usize, &Person> = feed.iter().map(|(id, person)| (*id, person)).collect();
        let found: BTreeMap<usize, &Person> = stored.iter().map(|(id, (person, _))| (*id, person)).collect();
        prop_assert_eq!(found, said);
        for (external_id, (_, (id, version))) in &stored {
            let (first, last) = known.entry(*external_id).or_insert_with(|| (id.clone(), 0));
            prop_assert_eq!(&*first, id, "E{} is who it always was", external_id);
            prop_assert!(*version >= *last, "versions never go back");
            *last = *version;
        }
        let again = import(api, store, feed).await;
        prop_assert_eq!(&again["unchanged"], feed.len(), "{}", again);
        prop_assert_eq!(&again["deleted"], 0);
    }
    Ok(())
}

#[test]
fn after_each_feed_the_store_equals_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let apis = [1, 2, 500].map(|lines| runtime.block_on(TestApi::with_batches_of(lines)));
    let case = Cell::new(0);
    let config = Config { cases: 48, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let strategy = (0..apis.len(), proptest::collection::vec(feed(), 1..6));
    TestRunner::new(config)
        .run(&strategy, |(batches, feeds)| {
            case.set(case.get() + 1);
            runtime.block_on(play(&apis[batches], &format!("store-{}", case.get()), &feeds))
        })
        .unwrap();
}
