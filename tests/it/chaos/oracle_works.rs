//! The oracle sees what it is there to see.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::json;

use super::ledger::{Account, Change, Scope};
use super::oracle::{Findings, Latency, inspect};
use crate::support::sink::Call;

/// The tests' second 0, and so many later.
fn at(origin: Instant, seconds: u64) -> Instant {
    origin + Duration::from_secs(seconds)
}

/// An account whose versions have this membership, one a second.
fn account(origin: Instant, members: &[bool]) -> Account {
    let change = |(index, member): (usize, &bool)| {
        let time = at(origin, index as u64);
        let (version, value) = (index as i64 + 1, index as u64);
        Change { version, value, member: *member, deleted: false, asked: time, acknowledged: time }
    };
    let changes = members.iter().enumerate().map(change).collect();
    Account { id: "7".into(), name: "ada".into(), changes }
}

/// A call about it that was answered well.
fn call(origin: Instant, path: &str, version: i64, (from, to): (u64, u64)) -> Call {
    Call {
        method: "POST".into(),
        path: path.into(),
        headers: Vec::new(),
        body: json!({ "id": "7", "version": version }).to_string().into(),
        start: at(origin, from),
        end: Some(at(origin, to)),
        status: Some(200),
    }
}

fn look(members: &[bool], calls: &[(&str, i64, (u64, u64))]) -> Findings {
    let origin = Instant::now();
    let calls: Vec<Call> =
        calls.iter().map(|(path, version, time)| call(origin, path, *version, *time)).collect();
    inspect(Scope::Members, &[account(origin, members)], &calls, &HashMap::new())
}

#[test]
fn what_is_right_is_left_alone() {
    for (members, calls) in [
        (vec![true, true], vec![("/provision", 1, (0, 1)), ("/provision", 2, (1, 2))]),
        (vec![true, true], vec![("/provision", 2, (1, 2))]),
        (vec![true, false], vec![("/provision", 1, (0, 1)), ("/deprovision", 2, (1, 2))]),
        (vec![true, false], vec![]),
        (vec![false], vec![]),
    ] {
        let findings = look(&members, &calls);
        let wrong = findings.losses + findings.overlaps + findings.reordered + findings.duplicates;
        assert_eq!(wrong, 0, "{members:?} {calls:?}: {:?}", findings.problems);
    }
}

#[test]
fn losses_are_seen() {
    assert_eq!(look(&[true], &[]).losses, 1, "never called");
    assert_eq!(look(&[true, true], &[("/provision", 1, (0, 1))]).losses, 1, "not the newest");
    assert_eq!(look(&[true, false], &[("/provision", 1, (0, 0))]).losses, 2, "still there");
    let back = [("/provision", 1, (0, 1)), ("/provision", 3, (3, 4))];
    assert_eq!(look(&[true, false, true], &back).losses, 1, "left without a deprovision");
}

#[test]
fn waits_are_told_apart_by_when_they_began() {
    let origin = Instant::now();
    let latency =
        |second, wait| Latency { acknowledged: at(origin, second), wait: Duration::from_millis(wait) };
    let latencies = vec![latency(1, 10), latency(2, 20), latency(3, 30), latency(11, 400), latency(12, 500)];
    let findings = Findings { latencies, ..Findings::default() };
    let fault = at(origin, 10)..at(origin, 20);
    assert_eq!(findings.wait_ms(95, |_| true), 500);
    assert_eq!(findings.wait_ms(95, |moment| !fault.contains(&moment)), 30);
    assert_eq!(findings.wait_ms(50, |moment| fault.contains(&moment)), 500);
    assert_eq!(findings.wait_ms(50, |moment| moment > fault.end), 0);
}

#[test]
fn overlaps_order_and_repetitions_are_seen() {
    let overlap = look(&[true, true], &[("/provision", 1, (0, 3)), ("/provision", 2, (2, 4))]);
    assert_eq!(overlap.overlaps, 1);
    let back = look(
        &[true, true],
        &[("/provision", 2, (0, 1)), ("/provision", 1, (1, 2)), ("/provision", 2, (2, 3))],
    );
    assert_eq!((back.reordered, back.duplicates), (1, 1));
}

#[test]
fn who_is_missing_or_under_the_wrong_name_is_seen() {
    let origin = Instant::now();
    let accounts = [account(origin, &[true])];
    let content = |held: &[(&str, &str)]| {
        let held = held.iter().map(|(name, id)| ((*name).to_owned(), json!({ "id": id }))).collect();
        let mut findings = Findings::default();
        findings.content(Scope::Members, &accounts, &held);
        findings.losses
    };
    assert_eq!(content(&[("ada", "7")]), 0);
    assert_eq!(content(&[]), 1, "removed by somebody else's removal");
    assert_eq!(content(&[("ada", "6")]), 1, "somebody else's");
    assert_eq!(content(&[("ada", "7"), ("old", "5")]), 1, "nobody's any more");
}
