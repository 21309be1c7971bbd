//! Lines that are bad for good and set aside.

use serde_json::json;

use super::super::support::TestApi;
use super::{counts, import, lines, names, people};

/// Twelve people; in the next feed one has left, one line breaks a rule, and one is
/// cut off.
async fn set_up() -> (TestApi, String) {
    let api = TestApi::start().await.with_store().await;
    import(&api, "", people(0..12)).await.expect(200);
    let broken = json!({ "externalId": "E0", "userName": "user0", "nick": 1 });
    let feed = format!("{}{{\"externalId\": \"E1\n{}", lines(&[broken]), people(3..12));
    (api, feed)
}

#[tokio::test]
async fn a_line_that_is_set_aside_does_not_keep_others_from_being_deleted() {
    let (api, feed) = set_up().await;
    for query in ["", "&setAsideLine=1", "&setAsideLine=2", "&setAsideKey=E0", "&setAsideLine=3"] {
        let refused = import(&api, &format!("?deleteMissing=true{query}"), feed.clone()).await;
        assert_eq!(refused.problem().1, "deletion-guard", "{query}");
    }
    assert_eq!(names(&api).await.len(), 12);
    for keys in ["setAsideLine=1", "setAsideKey=E0", "setAsideKey=USER0"] {
        let (api, feed) = set_up().await;
        let query = format!("?deleteMissing=true&{keys}&setAsideLine=2&setAsideKey=E1");
        let report = import(&api, &query, feed).await.expect(200);
        assert_eq!(counts(&report), [0, 0, 9, 1, 0, 11], "{keys}: {report}");
        assert_eq!(report["setAside"], 2);
        let aside: Vec<_> =
            report["errors"].as_array().unwrap().iter().map(|e| e["setAside"].clone()).collect();
        assert_eq!(aside, [true, true]);
        let left = names(&api).await;
        assert!(left.contains(&"user0=E0".into()), "{keys}: whom the line names stays");
        assert!(left.contains(&"user1=E1".into()) && !left.contains(&"user2=E2".into()));
    }
}

#[tokio::test]
async fn a_good_line_goes_in_although_it_is_set_aside() {
    let api = TestApi::start().await.with_store().await;
    let report = import(&api, "?setAsideLine=1&setAsideKey=user1", people(0..2)).await.expect(200);
    assert_eq!((counts(&report), &report["setAside"]), ([2, 0, 0, 0, 0, 2], &json!(0)));
}

#[tokio::test]
async fn what_is_set_aside_is_checked() {
    let api = TestApi::start().await.with_store().await;
    for (query, field) in [
        ("setAsideLine=0", "setAsideLine"),
        ("setAsideLine=1,2", "setAsideLine"),
        ("setAsideKey=", "setAsideKey"),
        ("setAside=1", "setAside"),
    ] {
        let answer = import(&api, &format!("?{query}"), people(0..1)).await;
        assert_eq!(answer.problem(), (400, "bad-parameter".into(), field.into()), "{query}");
    }
    assert_eq!(names(&api).await.len(), 0);
}
