//! The thread that owns the server: it starts it again when it dies, bounds its
//! log and stops it at the end.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::EmbeddedError;
use super::server::Server;

/// How often to look at the server.
const GLANCE: Duration = Duration::from_secs(1);
/// Longest wait before it is tried again to start one that does not start.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A handle on the thread.
#[derive(Debug)]
pub(super) struct Keeper {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Hands the server and the lock of its data directory to a thread.
    pub fn spawn(server: Server, lock: File) -> Result<Self, EmbeddedError> {
        let (stop, stopped) = sync_channel(1);
        let builder = std::thread::Builder::new().name("postgres-keeper".to_owned());
        let thread = builder
            .spawn(move || {
                keep(server, &stopped);
                drop(lock);
            })
            .map_err(EmbeddedError::io("start a thread for", Path::new("PostgreSQL")))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Stops the server and waits for that; does nothing the second time.
    pub fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

fn keep(mut server: Server, stopped: &Receiver<()>) {
    // How often it was found dead in a row. The first time nothing is done: a
    // person may be restarting it, and the second time that one is adopted.
    let mut found_dead = 0;
    while stopped.recv_timeout(pause(found_dead)) == Err(RecvTimeoutError::Timeout) {
        server.bound_log();
        if found_dead > 0 && !server.is_alive() {
            revive(&mut server);
        }
        found_dead = if server.is_alive() { 0 } else { found_dead + 1 };
    }
    server.stop();
}

/// Longer and longer when it cannot be started.
fn pause(found_dead: u32) -> Duration {
    LONGEST_PAUSE.min(GLANCE * 2_u32.saturating_pow(found_dead.saturating_sub(1)))
}

fn revive(server: &mut Server) {
    log::error!("PostgreSQL has ended by itself; starting it again");
    match Server::start(server.layout().clone()) {
        Ok(again) => *server = again,
        Err(error) => log::error!("PostgreSQL cannot be started again: {error}"),
    }
}
