//! One exchange of a run, while it goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::failures::{Asked, Failure, Said};
use super::hide::{Format, Seen};
use super::policy::TargetPolicy;
use super::response::said;
use super::rest::{LONGEST, Long, LongBodies};
use super::shown::{Received, Shown, shown_body, shown_headers};
use super::transcript::Transcript;
use crate::domain::host_call::{Exchange, ExchangeResponse, FetchResponse, Handling, HostCallError};
use crate::domain::status::ErrorClass;

/// An exchange under way.
pub(super) struct Recording {
    transcript: Arc<Transcript>,
    began: Instant,
    asked: Asked,
    request: Option<Shown>,
    answer: Option<Answer>,
    effect: Option<Handling>,
}

/// What of an answer has come.
struct Answer {
    /// The head, as the log shows it.
    shown: ExchangeResponse,
    format: Format,
    /// The beginning of the body, as it came.
    start: Bytes,
    body: Received,
    /// What its status says.
    failure: Option<Failure>,
    policy: Arc<TargetPolicy>,
}

impl Recording {
    pub(super) fn new(transcript: Arc<Transcript>, asked: Asked, request: Shown) -> Self {
        let (began, request) = (Instant::now(), Some(request));
        Self { transcript, began, asked, request, answer: None, effect: None }
    }

    /// Notes that the request is not sent, and where its answer comes from.
    pub(super) fn not_sent(mut self, effect: Handling) -> Self {
        self.effect = Some(effect);
        self
    }

    /// Writes down how it ended, with a whole body.
    pub(super) fn finish(
        mut self,
        outcome: &Result<FetchResponse, HostCallError>,
        policy: &Arc<TargetPolicy>,
    ) {
        match outcome {
            Ok(response) => {
                self.answered(response, policy);
                self.complete();
            }
            Err(error) => self.fail(error.clone()),
        }
    }

    /// Notes the head and the beginning of the body. What its status says of the
    /// run counts from now on: the body may never be read to its end.
    pub(super) fn answered(&mut self, response: &FetchResponse, policy: &Arc<TargetPolicy>) {
        let said = said(response);
        self.transcript.note(self.asked, said);
        let mut seen = Seen::default();
        let headers = shown_headers(response.headers.iter(), policy, &mut seen);
        self.transcript.note_credentials(seen);
        self.answer = Some(Answer {
            shown: ExchangeResponse { status: response.status, headers, body: None },
            format: Format::of(&response.headers),
            start: response.body.clone(),
            body: Received { bytes: response.body.len(), whole: false },
            failure: said.failure(),
            policy: policy.clone(),
        });
    }

    /// Notes more of the body.
    pub(super) fn add(&mut self, part: &[u8]) {
        let Some(answer) = &mut self.answer else { return };
        answer.body.bytes += part.len();
        let room = LONGEST.saturating_sub(answer.start.len()).min(part.len());
        if room > 0 {
            let mut start = BytesMut::from(std::mem::take(&mut answer.start));
            start.extend_from_slice(&part[..room]);
            answer.start = start.freeze();
        }
    }

    /// Writes it down: the body has come to its end.
    pub(super) fn complete(mut self) {
        if let Some(answer) = &mut self.answer {
            answer.body.whole = true;
        }
        self.write(None);
    }

    /// Writes it down: this went wrong.
    pub(super) fn fail(mut self, error: HostCallError) {
        self.write(Some(error));
    }

    fn write(&mut self, error: Option<HostCallError>) {
        let Some(request) = self.request.take() else { return };
        let answer = self.answer.take();
        let failed = error.as_ref().map(|error| (error.class, error.retry_after));
        let failure = failed.or_else(|| answer.as_ref()?.failure);
        let mut seen = Seen::default();
        let (response, long) = answer.map(|answer| answer.finished(&mut seen)).unzip();
        self.transcript.note_credentials(seen);
        let exchange = Exchange {
            at_ms: millis(self.transcript.when(self.began)),
            duration_ms: millis(self.began.elapsed()),
            request: request.request,
            response,
            error: error.map(|error| error.message),
            error_class: failure.map(|(class, _)| class),
            retry_after: failure.and_then(|(_, wait)| wait).map(|wait| wait.as_secs()),
            effect: self.effect,
        };
        if let Some(failed) = failed {
            self.transcript.note(self.asked, Said::Failed(failed));
        }
        self.transcript.add(exchange, LongBodies { request: request.long, response: long.flatten() });
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let error = self.answer.is_none().then(|| HostCallError {
            class: ErrorClass::Transient,
            message: "abandoned: the run ended before there was an answer".into(),
            retry_after: None,
        });
        self.write(error);
    }
}

impl Answer {
    /// As the log shows it, and what it does not show of it.
    fn finished(self, seen: &mut Seen) -> (ExchangeResponse, Option<Long>) {
        let Self { mut shown, format, mut start, body, policy, .. } = self;
        if !body.whole {
            start.truncate(without_part_of_character(&start));
        }
        shown.body = shown_body(&start, body, format, (&policy, seen));
        (shown, Long::of(&start, body, format))
    }
}

/// The length without a character at the end that is not there to its own end.
fn without_part_of_character(text: &[u8]) -> usize {
    match std::str::from_utf8(text) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => text.len(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::AllowList;

    #[test]
    fn an_answer_that_was_not_read_to_its_end_says_so() {
        let transcript = Arc::new(Transcript::new());
        let policy = Arc::new(TargetPolicy::new(AllowList::default(), Vec::new()));
        let mut recording = transcript.begin(Asked::at("x"), Shown::get("x"));
        let response = FetchResponse {
            status: 503,
            status_text: String::new(),
            url: "x".into(),
            redirected: false,
            headers: vec![("retry-after".into(), "7".into())],
            body: "one ".into(),
        };
        recording.answered(&response, &policy);
        recording.add("two é".as_bytes().split_last().unwrap().1);
        let late = transcript.begin(Asked::at("y"), Shown::get("y"));
        let failure = Some((ErrorClass::Transient, Some(Duration::from_secs(7))));
        assert_eq!(transcript.failure(), failure);
        late.finish(&Ok(FetchResponse { status: 200, headers: Vec::new(), ..response }), &policy);
        drop(recording);
        assert_eq!(transcript.failure(), failure, "a later success hides nothing");
        let (exchanges, rest) = transcript.take();
        let shown = exchanges[1].response.as_ref().unwrap();
        assert_eq!(shown.body.as_deref(), Some("one two … <9 bytes read of more>"));
        assert_eq!((exchanges[1].retry_after, exchanges[1].error.as_deref()), (Some(7), None));
        assert_eq!(rest.store(&policy).response(1), Some("one two "));
    }

    #[test]
    fn an_exchange_that_is_dropped_is_written_down() {
        let transcript = Arc::new(Transcript::new());
        drop(transcript.begin(Asked::at("x"), Shown::get("x")));
        assert_eq!(transcript.failure(), Some((ErrorClass::Transient, None)));
        assert!(transcript.take().0[0].error.as_deref().unwrap().starts_with("abandoned"));
    }

    #[test]
    fn what_a_run_leaves_behind_says_nothing_of_it() {
        let transcript = Arc::new(Transcript::new());
        let left = transcript.begin(Asked::at("x"), Shown::get("x"));
        transcript.end_run();
        drop(left);
        assert_eq!(transcript.failure(), None);
        assert_eq!(transcript.take().0[0].error_class, Some(ErrorClass::Transient), "but it is on record");
    }
}
