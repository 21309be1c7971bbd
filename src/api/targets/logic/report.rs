//! What is kept of what was found about a draft.

use serde::Serialize;
use serde_json::{Value, json};

use crate::logic::TestResult;

/// Bytes of what all tests together wrote to the console that are kept.
const MOST_LOGGED: usize = 256 * 1024;

/// Warnings, and how tests ended; `logCut` says that they wrote too much.
pub(super) fn report(warnings: &[impl Serialize], tests: &[TestResult]) -> Value {
    let (tests, cut) = cut(tests);
    json!({ "warnings": warnings, "tests": tests, "logCut": cut })
}

/// What tests wrote, as far as there is room, and whether there was not enough.
pub(super) fn cut(tests: &[TestResult]) -> (Vec<TestResult>, bool) {
    let mut room = MOST_LOGGED;
    let tests = tests.iter().map(|test| within(test, &mut room)).collect();
    (tests, room == 0)
}

/// A test with those of its lines that there is room for; none is left once one
/// has been cut.
fn within(test: &TestResult, room: &mut usize) -> TestResult {
    let fits = |length: usize, room: &mut usize| {
        *room = room.checked_sub(length).unwrap_or_default();
        *room > 0
    };
    let log = test.log.iter().take_while(|line| fits(line.text.len(), room)).cloned().collect();
    TestResult { log, ..test.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::host_call::{ConsoleLevel, ConsoleLine};

    fn test(lines: usize, length: usize) -> TestResult {
        let line = ConsoleLine { level: ConsoleLevel::Info, at_ms: 0, text: "x".repeat(length) };
        TestResult { name: "a".into(), passed: true, message: None, log: vec![line; lines] }
    }

    fn lines(report: &Value, test: usize) -> usize {
        report["tests"][test]["log"].as_array().unwrap().len()
    }

    #[test]
    fn what_many_tests_write_is_cut() {
        let small = report(&[(); 0], &[test(3, 10), test(2, 10)]);
        assert_eq!((lines(&small, 0), lines(&small, 1), &small["logCut"]), (3, 2, &json!(false)));
        let large = report(&[(); 0], &[test(200, 1_000), test(200, 1_000), test(1, 1)]);
        assert_eq!((lines(&large, 0), lines(&large, 1), lines(&large, 2)), (200, 62, 0));
        assert_eq!((&large["logCut"], &large["tests"][2]["passed"]), (&json!(true), &json!(true)));
    }
}
