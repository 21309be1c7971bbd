//! People who leave, others who come with their names, and the guard.

use serde_json::{Value, json};

use super::super::support::TestApi;
use super::{accounts, counts, import, lines, names, people, reasons};

fn person(external_id: &str, user_name: &str) -> Value {
    json!({ "externalId": external_id, "userName": user_name })
}

const FREE: &str = "; no good line names that account, and the name is free once it is deleted";

#[tokio::test]
async fn a_leaver_and_a_joiner_with_one_name_change_places() {
    for batches in [1, 500] {
        let api = TestApi::with_batches_of(batches).await.with_store().await;
        import(&api, "", lines(&[person("1", "jo"), person("2", "kim"), person("3", "lee")]))
            .await
            .expect(200);
        let before = accounts(&api).await;
        // 9 comes with the name of 1, who left; 2 takes that of 3, who left too, and 8 that of 2.
        let feed = [person("9", "Jo"), person("8", "kim"), person("2", "lee")];
        let kept = import(&api, "", lines(&feed)).await.expect(200);
        assert_eq!(counts(&kept), [0, 0, 0, 0, 3, 3], "without deletions the names are taken");
        let [jo, lee] = [&before[0].2, &before[2].2];
        assert_eq!(
            reasons(&kept),
            [
                format!("1: userName belongs to account {jo}, which has the external id `1`{FREE}"),
                format!("2: userName belongs to account {}, which has the external id `2`", before[1].2),
                format!("3: userName belongs to account {lee}, which has the external id `3`{FREE}"),
            ]
        );
        let report = import(&api, "?deleteMissing=true", lines(&feed)).await.expect(200);
        assert_eq!(counts(&report), [2, 1, 0, 2, 0, 3], "{report}");
        assert_eq!(names(&api).await, ["Jo=9", "kim=8", "lee=2"]);
        let after = accounts(&api).await;
        assert_eq!(after[2].2, before[1].2, "2 is who 2 was");
        assert!(before.iter().all(|(_, _, id)| *id != after[0].2 && *id != after[1].2));
        let again = import(&api, "?deleteMissing=true", lines(&feed)).await.expect(200);
        assert_eq!(counts(&again), [0, 0, 3, 0, 0, 3]);
    }
}

#[tokio::test]
async fn a_joiner_waits_for_the_guard_too() {
    let api = TestApi::start().await.with_store().await;
    import(&api, "", people(0..20)).await.expect(200);
    let feed = people(11..20) + &lines(&[person("new", "user4")]);
    let live = api.written()[3];
    let refused = import(&api, "?deleteMissing=true", feed.clone()).await;
    assert_eq!(refused.problem().1, "deletion-guard");
    assert_eq!((&refused.body["missing"], &refused.body["allowed"]), (&json!(11), &json!(10)));
    assert_eq!(counts(&refused.body["import"]), [0, 0, 9, 0, 1, 10]);
    let said = reasons(&refused.body["import"]);
    assert!(said[0].starts_with("10: userName belongs to account") && said[0].ends_with(FREE), "{said:?}");
    assert_eq!(api.written()[3], live, "nothing was deleted, nobody took a name");
    let confirmed = import(&api, "?deleteMissing=true&confirmDeletions=true", feed).await.expect(200);
    assert_eq!(counts(&confirmed), [1, 0, 9, 11, 0, 10]);
}

#[tokio::test]
async fn of_a_small_store_no_more_than_half_leave_unasked() {
    let api = TestApi::start().await.with_store().await;
    import(&api, "", people(0..40)).await.expect(200);
    let one_left = import(&api, "?deleteMissing=true", people(0..1)).await;
    assert_eq!(one_left.problem(), (409, "deletion-guard".into(), String::new()));
    let members = ["missing", "accounts", "allowed"].map(|name| one_left.body[name].clone());
    assert_eq!(members, [json!(39), json!(40), json!(20)]);
    assert_eq!(accounts(&api).await.len(), 40);
    assert_eq!(import(&api, "?deleteMissing=true", people(0..19)).await.problem().0, 409, "21 of 40");
    let half = import(&api, "?deleteMissing=true", people(0..20)).await.expect(200);
    assert_eq!(counts(&half), [0, 0, 20, 20, 0, 20]);
    let few = import(&api, "?deleteMissing=true", people(15..20)).await;
    assert_eq!(few.body["allowed"], 10, "15 of 20");
    import(&api, "?deleteMissing=true&confirmDeletions=true", people(15..20)).await.expect(200);
    let five = import(&api, "?deleteMissing=true", people(100..101)).await.expect(200);
    assert_eq!(counts(&five), [1, 0, 0, 5, 0, 1], "five are no mass");
}

#[tokio::test]
async fn bad_lines_are_listed_when_deletions_are_refused() {
    let api = TestApi::start().await.with_store().await;
    import(&api, "", people(0..3)).await.expect(200);
    let feed = format!("{}{{\n{}", people(0..1), lines(&[json!({ "userName": "x", "nick": 1 })]));
    let refused = import(&api, "?deleteMissing=true&confirmDeletions=true", feed).await;
    assert_eq!(refused.problem().0, 409);
    assert!(refused.body["detail"].as_str().unwrap().starts_with("2 lines are bad"), "{}", refused.body);
    assert_eq!(
        reasons(&refused.body["import"]),
        [
            "2:  not JSON: EOF while parsing an object at column 1",
            "3: nick is not a field that is known here"
        ]
    );
    assert_eq!(accounts(&api).await.len(), 3);
}
