//! The figures that bound a run and a host, beside the target's own
//! [`Limits`](crate::domain::target::Limits).

use std::time::Duration;

/// Most runs in flight in one host. Above it promises were lost in one
/// measured set-up.
pub const MAX_IN_FLIGHT: usize = 64;
/// Most tests that come with one piece of logic.
pub const MAX_TESTS: usize = 1_000;
/// Most bytes of their names, as JSON.
pub const MAX_TEST_NAMES: usize = 256 * 1024;
/// Most host calls of one run.
pub const MAX_CALLS_PER_RUN: u32 = 1_000;
/// Longest head of a host call, as JSON: method, address and header fields. What
/// egress allows of them is less.
pub const MAX_REQUEST_HEAD: usize = 1024 * 1024;
/// Most header fields of a host call. What egress allows of them is less.
pub const MAX_REQUEST_HEADERS: usize = 1_000;
/// Largest request body of a host call.
pub const MAX_REQUEST_BODY: usize = 10 * 1024 * 1024;
/// Most bytes that are signed at once, and most of the material of a key.
pub const MAX_SIGNED: usize = 1024 * 1024;
/// Longest head of what is to be signed, as JSON: the material of the key, each
/// byte of which may be written as six, and the algorithm.
pub const MAX_SIGN_HEAD: usize = 6 * MAX_SIGNED + 1024;
/// Most bytes of requests, heads and bodies, that one host may have on their way
/// at once: the daemon keeps them in memory.
pub const MAX_REQUESTS_IN_FLIGHT: usize = 64 * 1024 * 1024;
/// Most console lines of one run.
pub const MAX_CONSOLE_LINES: usize = 200;
/// Most console bytes of one run.
pub const MAX_CONSOLE_BYTES: usize = 64 * 1024;
/// Largest returned value, as JSON.
pub const MAX_RETURNED: usize = 1024 * 1024;
/// Deepest nesting of a returned value: what the reader of JSON takes.
pub const MAX_RETURNED_DEPTH: usize = 127;
/// Longest message of a thrown error that is kept.
pub const MAX_MESSAGE: usize = 4 * 1024;
/// Longest stack of a thrown error that is kept.
pub const MAX_STACK: usize = 8 * 1024;

/// Largest frame that a host may send: a request body with its head.
pub const MAX_FRAME_FROM_HOST: usize = MAX_REQUEST_BODY + 2 * 1024 * 1024;
/// Largest frame that a host is sent: a response body with its head.
pub const MAX_FRAME_TO_HOST: usize = 64 * 1024 * 1024;

/// Things that a host may have said of one run and the run has not heard yet; the
/// scripts say at most two of each call.
pub const MAX_EVENTS: usize = 4 * MAX_CALLS_PER_RUN as usize;
/// Bytes that may wait for a host to take them: the answers to its calls. Far
/// more than a host leaves lying that reads between two turns.
pub const MAX_UNREAD: usize = 256 * 1024 * 1024;

/// Bytes that wait for a host, above which no more is read of the bodies that its
/// runs are being sent.
pub const MAX_UNSENT: usize = 4 * 1024 * 1024;

/// How long a child may take until its globals stand, before any of the
/// author's code. Far more than needed (0.1 s): a loaded machine is no failure.
pub const BOOT_LIMIT: Duration = Duration::from_secs(30);
/// How often a busy host is asked whether it still yields.
pub const PING_INTERVAL: Duration = Duration::from_millis(100);
/// How often an unanswered ping is looked at.
pub const WATCH_INTERVAL: Duration = Duration::from_millis(50);
/// How often a host without runs is looked at.
pub const IDLE_INTERVAL: Duration = Duration::from_secs(2);
/// A host whose ping is older than this is held up by one of its runs.
pub const UNANSWERED: Duration = Duration::from_millis(250);

/// CPU time after which a host that does not yield is given up when it is not
/// known whose run it is: each is run again alone, where the CPU limit counts.
/// So the run at fault ends within its limit and a second of having begun.
pub const SHARED_CPU: Duration = Duration::from_millis(400);

/// Address space that a host's heap may not use up: the program itself, its
/// stacks, buffers on their way and what the engine keeps outside its heap.
pub const DATA_HEADROOM: u64 = 256 * 1024 * 1024;
/// Descriptors that a host may hold: three standard ones, the socket and the
/// reactor's.
pub const MAX_DESCRIPTORS: u64 = 32;
/// Threads that long cryptographic operations may use.
pub const CRYPTO_THREADS: usize = 2;

/// `text` up to a number of bytes, cut at a character.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// A duration as people write it in settings: `2 s`, `1.5 s`, `250 ms`.
pub(super) fn figure(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_characters() {
        assert_eq!((cut("a\u{20ac}b", 3), cut("a\u{20ac}b", 4), cut("ab", 9)), ("a", "a\u{20ac}", "ab"));
    }

    #[test]
    fn figures_read_naturally() {
        assert_eq!(figure(Duration::from_millis(250)), "250 ms");
        assert_eq!(figure(Duration::from_millis(1500)), "1.5 s");
        assert_eq!(figure(Duration::from_secs(30)), "30 s");
    }
}
