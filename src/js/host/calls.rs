//! The host calls of a run that are being done.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::AbortHandle;
use futures_util::stream::{self, Abortable, SelectAll, Stream};
use futures_util::{FutureExt, StreamExt};

use super::answers::Answer;
use super::shared::{Reserved, Shared};
use crate::domain::host_call::{BodyStream, Fetched, HostCallError, HostCallFuture};

/// What a call has to say, and its number.
pub(super) type Answered = (u32, Result<Answer, HostCallError>);
type Call = Abortable<Pin<Box<dyn Stream<Item = Answered> + Send>>>;

/// Dropping them gives the calls up.
#[derive(Default)]
pub(super) struct Calls {
    running: SelectAll<Call>,
    handles: Vec<(u32, AbortHandle)>,
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
        let (handle, registration) = AbortHandle::new_pair();
        self.handles.push((call, handle));
        self.running.push(Abortable::new(answers.map(move |answer| (call, answer)).boxed(), registration));
    }

    /// The next answer of any of them; never while there are none.
    pub async fn next(&mut self) -> Answered {
        let answered = match self.running.next().await {
            Some(answered) => answered,
            None => std::future::pending().await,
        };
        if answered.1.as_ref().map_or(true, Answer::is_last) {
            self.handles.retain(|(number, _)| *number != answered.0);
        }
        answered
    }

    pub fn cancel(&mut self, call: u32) {
        self.handles.retain(|(number, handle)| {
            if *number == call {
                handle.abort();
            }
            *number != call
        });
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
