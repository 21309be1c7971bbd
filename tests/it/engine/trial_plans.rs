//! Plans: what a draft would do for many accounts.

use serde_json::{Value, json};

use super::trial::{database, dry_run};
use super::{settings, settings_with};
use crate::support::app::{TestApp, TestTarget};
use crate::support::sink::{Answer, Sink};

/// Creates by POST and updates by PUT; `title` is what the draft changes.
fn logic(title: &str, more: &str) -> String {
    format!(
        r#"
        export default async (ctx) => {{
            const url = ctx.target.config.url + "/users";
            const id = ctx.previous.remoteId;
            const headers = {{ "content-type": "application/json" }};
            {more}
            if (ctx.reason === "deprovision") {{
                await fetch(`${{url}}/${{id}}`, {{ method: "DELETE" }});
                return {{ status: "deprovisioned" }};
            }}
            const body = JSON.stringify({{ id: "r-" + ctx.account.id, name: ctx.account.userName, title: {title} }});
            const saved = id
                ? await fetch(`${{url}}/${{id}}`, {{ method: "PUT", headers, body }})
                : await fetch(url, {{ method: "POST", headers, body }});
            if (!saved.ok) throw new Error(`saving ${{ctx.account.userName}}: ${{saved.status}}`);
            return {{ status: "provisioned", remoteId: "r-" + ctx.account.id }};
        }};"#
    )
}

/// 30 accounts that are provisioned, of whom 5 leave, and 30 that are new.
async fn crowd(app: &TestApp, store: &str, target: &TestTarget) {
    for number in 0..30 {
        app.account(
            store,
            &format!("old{number:02}"),
            json!({ "team": if number < 5 { "leaving" } else { "core" } }),
        )
        .await;
    }
    app.enable(target).await;
    app.until_idle(target).await;
    app.patch(&format!("/targets/{}", target.id), json!({ "enabled": false })).await.expect(200);
    app.patch(&format!("/targets/{}", target.id), json!({ "filter": "team ne \"leaving\"" }))
        .await
        .expect(200);
    for number in 0..30 {
        app.account(store, &format!("new{number:02}"), json!({ "team": "core" })).await;
    }
}

fn figures(answer: &Value) -> Vec<u64> {
    let names = ["total", "tried", "creates", "updates", "unchanged", "deprovisions", "failures"];
    names.iter().map(|name| answer["plan"][*name].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_sample_tells_what_a_draft_would_do_and_where_it_differs() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let published = logic("null", "");
    let target = app
        .disabled_target(&store, settings_with("crm", &sink, json!({ "maxParallelJobs": 3 })), &published)
        .await;
    crowd(&app, &store, &target).await;
    sink.forget();

    let same = dry_run(&app, &target, json!({ "sample": 50, "logic": "published" })).await;
    assert_eq!((&same["state"], &same["differs"]), (&json!("finished"), &Value::Null));
    assert_eq!((figures(&same)[..2].to_vec(), &same["logic"]), (vec![60, 50], &json!(1)));
    let few = dry_run(&app, &target, json!({ "sample": 10 })).await;
    assert_eq!(figures(&few), [60, 10, 4, 4, 0, 2, 0], "spread over old and new, a fifth has left");
    let saved = dry_run(&app, &target, json!({ "sample": 100 })).await;
    assert_eq!(figures(&saved), [60, 60, 30, 25, 0, 5, 0]);
    assert_eq!(
        (&saved["logic"], &saved["against"], &saved["differs"]["count"]),
        (&json!("draft"), &json!(1), &json!(0))
    );

    // Another title for some, nothing to do for others, an error for a third group.
    let draft = logic(
        "ctx.account.userName.endsWith('1') ? 'x' : null",
        "if (ctx.account.userName.startsWith('new0')) throw new Error(`no licence for ${ctx.account.userName}`);
         const same = ctx.reason === 'provision' && ctx.account.userName.endsWith('2');
         if (same) return { status: 'provisioned', remoteId: id ?? 'none' };",
    );
    let path = format!("/targets/{}/logic", target.id);
    app.put(&path, json!({ "code": draft })).await.expect(200);
    let rows = database(&mut app.db.as_ref().unwrap().connection());
    let plan = dry_run(&app, &target, json!({ "sample": 100 })).await;
    // Old ones that stay: 05 to 29. Of those, 12 and 22 are left as they are.
    assert_eq!(figures(&plan), [60, 60, 20, 23, 2, 5, 10]);
    let failure = &plan["failures"][0];
    assert_eq!((plan["failures"].as_array().unwrap().len(), &failure["count"]), (1, &json!(10)));
    assert!(failure["message"].as_str().unwrap().starts_with("no licence for new0"), "{failure}");
    assert_eq!(failure["examples"].as_array().unwrap().len(), 5);
    // Ten fail, 11 and 21 have a title, 12 and 22 are not written.
    assert_eq!(plan["differs"]["count"], 10 + 4 + 4, "{:#}", plan["differs"]);
    let example = &plan["differs"]["examples"][0];
    assert!(example["account"]["userName"].is_string() && example["published"]["writes"].is_array());
    let titled = plan["differs"]["examples"].as_array().unwrap().iter();
    let changes: Vec<_> = titled.flat_map(|example| example["changes"].as_array().unwrap()).collect();
    assert!(
        changes.contains(&&json!({ "path": "writes[0].body.title", "before": null, "after": "x" })),
        "{changes:#?}"
    );

    assert!(sink.calls().is_empty(), "this logic reads nothing");
    assert_eq!(database(&mut app.db.as_ref().unwrap().connection()), rows);
}

#[tokio::test]
async fn a_plan_for_all_goes_on_by_itself_and_can_be_cancelled() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target =
        app.disabled_target(&store, settings("crm", &sink), &logic("null", "await fetch(url);")).await;
    for number in 0..120 {
        app.account(&store, &format!("user{number}"), json!({})).await;
    }
    let rows = database(&mut app.db.as_ref().unwrap().connection());
    let begun = app.post(&format!("/targets/{}/logic/test", target.id), json!({ "sample": "all" })).await;
    let place = begun.headers["location"].to_str().unwrap().strip_prefix("/api/v1").unwrap().to_owned();
    let begun = begun.expect(202);
    assert_eq!((&begun["plan"]["total"], &begun["targetId"]), (&json!(120), &json!(target.id)));
    let plan = app
        .until("the plan to end".into(), async || {
            let plan = app.get(&place).await;
            if plan["state"] == "running" { Err(plan) } else { Ok(plan) }
        })
        .await;
    assert_eq!((&plan["state"], figures(&plan)), (&json!("finished"), vec![120, 120, 120, 0, 0, 0, 0]));
    assert_eq!(sink.calls().iter().filter(|call| call.method != "GET").count(), 0);

    sink.answer(Answer::new(200).after(std::time::Duration::from_millis(200)));
    let path = format!("/targets/{}/logic/plans", target.id);
    let begun = app.post(&path, json!({})).await.expect(202);
    app.post(&path, json!({})).await.expect(409);
    let place = format!("{path}/{}", begun["id"].as_str().unwrap());
    let cancelled = app.delete(&place).await.expect(200);
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(app.get(&place).await["state"], "cancelled");
    app.call(reqwest::Method::GET, &format!("{path}/1"), None).await.expect(404);
    assert_eq!(database(&mut app.db.as_ref().unwrap().connection()), rows);
}

#[tokio::test]
async fn a_plan_leaves_a_system_alone_that_is_not_well() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let reads = logic(
        "null",
        "const seen = await fetch(url); if (!seen.ok) throw new Error(`looking: ${seen.status}`);",
    );
    let target = app.disabled_target(&store, settings("crm", &sink), &reads).await;
    for number in 0..40 {
        app.account(&store, &format!("user{number}"), json!({})).await;
    }
    sink.answer(Answer::new(503));
    let plan = dry_run(&app, &target, json!({ "sample": 40 })).await;
    assert_eq!((&plan["state"], &plan["plan"]["failures"]), (&json!("stopped"), &json!(20)), "{plan}");
    assert!(plan["reason"].as_str().unwrap().contains("20 runs in a row"), "{plan}");
    app.enable(&target).await;
    app.until("the target to be quarantined".into(), async || {
        let status = app.get(&format!("/targets/{}/status", target.id)).await;
        if status["breaker"]["state"] == "open" { Ok(()) } else { Err(status) }
    })
    .await;
    let path = format!("/targets/{}/logic/test", target.id);
    let refused = app
        .until("the breaker to be written down".into(), async || {
            let answer = app.post(&path, json!({ "sample": 5 })).await;
            if answer.status == 409 { Ok(answer.body) } else { Err(answer.body) }
        })
        .await;
    assert!(refused["detail"].as_str().unwrap().contains("quarantined"), "{refused}");
    let offline = dry_run(&app, &target, json!({ "sample": 5, "reads": false })).await;
    assert_eq!(offline["state"], "finished", "{offline}");
}
