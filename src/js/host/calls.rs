//! The host calls of a run that are being done.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::stream::{self, BoxStream, SelectAll, Stream};
use futures_util::{FutureExt, StreamExt};

use super::answers::Answer;
use super::shared::{Reserved, Shared};
use crate::domain::host_call::{BodyStream, Fetched, HostCallError, HostCallFuture};

/// What a call has to say, and its number.
pub(super) type Answered = (u32, Result<Answer, HostCallError>);

/// A call until it is given up.
struct Call {
    number: u32,
    answers: Option<BoxStream<'static, Result<Answer, HostCallError>>>,
}

impl Stream for Call {
    type Item = Answered;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Answered>> {
        let number = self.number;
        let Some(answers) = &mut self.answers else { return Poll::Ready(None) };
        answers.poll_next_unpin(context).map(|answer| Some((number, answer?)))
    }
}

/// Dropping them gives the calls up.
#[derive(Default)]
pub(super) struct Calls {
    running: SelectAll<Call>,
}

impl Calls {
    /// Begins a call with one answer; what it reserved is kept until it is done.
    pub fn start<F>(&mut self, call: u32, reserved: Reserved, done: F)
    where
        F: Future<Output = Result<Answer, HostCallError>> + Send + 'static,
    {
        let answer = async move {
            let answer = done.await;
            drop(reserved);
            answer
        };
        self.add(call, answer.into_stream());
    }

    /// Begins a call whose answer comes in parts, as fast as the host takes them.
    pub fn start_fetch(
        &mut self,
        call: u32,
        reserved: Reserved,
        done: HostCallFuture<Fetched>,
        shared: &Arc<Shared>,
    ) {
        let shared = shared.clone();
        let begin = Fetch::Asked(done, reserved);
        self.add(call, stream::unfold(begin, move |fetch| fetch.next(shared.clone())));
    }

    fn add(
        &mut self,
        call: u32,
        answers: impl Stream<Item = Result<Answer, HostCallError>> + Send + 'static,
    ) {
        self.running.push(Call { number: call, answers: Some(answers.boxed()) });
    }

    /// The next answer of any of them; never while there are none.
    pub async fn next(&mut self) -> Answered {
        match self.running.next().await {
            Some(answered) => answered,
            None => std::future::pending().await,
        }
    }

    /// Gives a call up at once: what becomes of it is known before the run ends.
    pub fn cancel(&mut self, call: u32) {
        if let Some(call) = self.running.iter_mut().find(|running| running.number == call) {
            call.answers = None;
        }
    }
}

/// How far a fetch got.
enum Fetch {
    Asked(HostCallFuture<Fetched>, Reserved),
    Reading(BodyStream),
    Over,
}

impl Fetch {
    async fn next(self, shared: Arc<Shared>) -> Option<(Result<Answer, HostCallError>, Self)> {
        match self {
            Self::Asked(done, reserved) => {
                let fetched = done.await;
                drop(reserved);
                Some(match fetched {
                    Ok(Fetched { response, rest }) => {
                        let answer = Answer::Response { response, more: rest.is_some() };
                        (Ok(answer), rest.map_or(Self::Over, Self::Reading))
                    }
                    Err(error) => (Err(error), Self::Over),
                })
            }
            Self::Reading(mut rest) => {
                shared.outbox.room().await;
                Some(match rest.next().await {
                    Some(Ok(part)) => (Ok(Answer::Part(part)), Self::Reading(rest)),
                    Some(Err(error)) => (Err(error), Self::Over),
                    None => (Ok(Answer::End), Self::Over),
                })
            }
            Self::Over => None,
        }
    }
}
