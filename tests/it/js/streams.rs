//! Bodies that reach logic in parts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt as _;
use provisiond::domain::host_call::{
    BodyStream, FetchRequest, Fetched, HostCallError, HostCallFuture, HostCalls,
};
use provisiond::domain::status::ErrorClass;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::support::*;

type Part = Result<Bytes, HostCallError>;

/// Answers `/body` with what is sent to it, `/say/TEXT` by sending the text there
/// and `/end` by ending it.
struct Storyteller {
    parts: Mutex<Option<UnboundedReceiver<Part>>>,
    speak: Mutex<Option<UnboundedSender<Part>>>,
    dropped: Arc<AtomicUsize>,
}

impl Storyteller {
    fn new() -> Arc<Self> {
        let (speak, parts) = unbounded_channel();
        let (parts, speak) = (Mutex::new(Some(parts)), Mutex::new(Some(speak)));
        Arc::new(Self { parts, speak, dropped: Arc::default() })
    }

    fn body(&self) -> BodyStream {
        struct Dropped(Arc<AtomicUsize>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let parts = self.parts.lock().unwrap().take().unwrap();
        let state = (parts, Dropped(self.dropped.clone()));
        let next = |mut state: (UnboundedReceiver<Part>, Dropped)| async move {
            Some((state.0.recv().await?, state))
        };
        futures_util::stream::unfold(state, next).boxed()
    }

    /// Whoever does not listen any more does not hear it.
    fn say(&self, part: Part) {
        let _ = self.speak.lock().unwrap().as_ref().unwrap().send(part);
    }
}

impl HostCalls for Storyteller {
    fn fetch(&self, request: FetchRequest) -> HostCallFuture<Fetched> {
        let path = request.url.trim_start_matches("https://a.example").to_owned();
        let mut fetched = Fetched::from(response(&request, 200, b""));
        if path == "/body" {
            fetched.response.body = "Once ".into();
            fetched.rest = Some(self.body());
        } else if let Some(text) = path.strip_prefix("/say/") {
            self.say(Ok(Bytes::copy_from_slice(text.as_bytes())));
        } else if path == "/break" {
            let message = "the story breaks off".into();
            self.say(Err(HostCallError { class: ErrorClass::Transient, message, retry_after: None }));
        } else {
            self.speak.lock().unwrap().take();
        }
        Box::pin(std::future::ready(Ok(fetched)))
    }
}

async fn tell(body: &str) -> (provisiond::js::RunEnd, Arc<Storyteller>) {
    let story = Storyteller::new();
    let code = format!(
        "const ask = (path) => fetch('https://a.example' + path);
        export default async () => {{ {body} }}"
    );
    (run_with(&start(&code).await, json!({}), story.clone()).await, story)
}

#[tokio::test]
async fn parts_are_read_as_they_come() {
    let (end, story) = tell(
        "const answer = await ask('/body');
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        const seen = [(await reader.read()).value];
        await ask('/say/upon');
        seen.push((await reader.read()).value);
        await ask('/say/a');
        seen.push((await reader.read()).value);
        await ask('/end');
        seen.push((await reader.read()).done);
        return seen;",
    )
    .await;
    assert_eq!(value(end), json!(["Once ", "upon", "a", true]));
    assert_eq!(story.dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_body_in_parts_is_read_whole_too() {
    let (end, _) = tell(
        "const answer = await ask('/body');
        const copy = answer.clone();
        await ask('/say/upon'); await ask('/say/a'); await ask('/end');
        const bytes = new Uint8Array(await copy.arrayBuffer());
        return [await answer.text(), bytes.length, answer.bodyUsed];",
    )
    .await;
    assert_eq!(value(end), json!(["Once upona", 10, true]));
}

#[tokio::test]
async fn a_body_that_breaks_off_throws_where_it_is_read() {
    let (end, _) = tell(
        "const answer = await ask('/body');
        await ask('/break');
        try { await answer.text(); } catch (error) { return [error.name, error.message, error.errorClass]; }",
    )
    .await;
    assert_eq!(value(end), json!(["HostCallError", "the story breaks off", "transient"]));
}

#[tokio::test]
async fn a_body_that_is_cancelled_is_abandoned() {
    for give_up in [
        "await answer.body.cancel();",
        "for await (const part of answer.body) break;",
        "stop.abort(); await answer.text().catch((error) => console.log(error.name));",
    ] {
        let (end, story) = tell(&format!(
            "const stop = new AbortController();
            const answer = await fetch('https://a.example/body', {{ signal: stop.signal }});
            {give_up}
            await ask('/say/unheard').catch(() => {{}});
            for (let i = 0; i < 50; i++) await new Promise((resolve) => setTimeout(resolve, 1));
            return true;"
        ))
        .await;
        if give_up.starts_with("stop") {
            assert_eq!(texts(&end.console), ["AbortError"]);
        }
        assert_eq!(value(end), json!(true), "{give_up}");
        assert_eq!(story.dropped.load(Ordering::SeqCst), 1, "{give_up}");
    }
}

#[tokio::test]
async fn a_body_ends_with_its_run() {
    let story = Storyteller::new();
    let host = start(
        "let kept;
        export default async ({ later }) => {
            if (later) return await kept.text().catch((error) => [error.name, error.message]);
            kept = await fetch('https://a.example/body');
            return 'kept';
        }",
    )
    .await;
    assert_eq!(value(run_with(&host, json!({}), story.clone()).await), json!("kept"));
    assert_eq!(story.dropped.load(Ordering::SeqCst), 1);
    let end = run(&host, json!({ "later": true })).await;
    assert_eq!(value(end), json!(["HostCallError", "the run that made this call has ended"]));
}

/// Answers with many parts of one MiB.
struct Flood(usize);

impl HostCalls for Flood {
    fn fetch(&self, request: FetchRequest) -> HostCallFuture<Fetched> {
        let parts = (0..self.0).map(|_| Ok(Bytes::from(vec![b'x'; 1 << 20])));
        let rest = Some(futures_util::stream::iter(parts).boxed());
        let fetched = Fetched { response: response(&request, 200, b""), rest };
        Box::pin(std::future::ready(Ok(fetched)))
    }
}

#[tokio::test]
async fn a_host_is_sent_no_more_than_it_takes() {
    // More than a host may leave unread; it reads them one after the other.
    let host = start_within(
        "export default async () => {
            let size = 0;
            for (let i = 0; i < 3; i++) {
                for await (const part of (await fetch('https://a.example/')).body) size += part.length;
            }
            return size;
        }",
        provisiond::domain::target::Limits { cpu_ms: 20_000, wall_ms: 30_000, heap_mib: 64 },
    )
    .await;
    let end = run_with(&host, json!({}), Arc::new(Flood(100))).await;
    assert_eq!(value(end), json!(300 << 20));
}
