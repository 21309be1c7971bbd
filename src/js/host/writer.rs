//! Writes what gathered in the outbox, everything that is there in one go.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;

use super::shared::Shared;

/// A buffer that grew beyond this is not kept.
const KEPT: usize = 1024 * 1024;

pub(super) async fn write(shared: Arc<Shared>, mut socket: OwnedWriteHalf) {
    let mut buffer = Vec::new();
    loop {
        shared.outbox.filled.notified().await;
        if shared.state().closed {
            return;
        }
        loop {
            shared.outbox.swap(&mut buffer);
            if buffer.is_empty() {
                break;
            }
            // A closed socket is the reader's to find out about.
            if socket.write_all(&buffer).await.is_err() {
                return;
            }
            buffer.clear();
            buffer.shrink_to(KEPT);
        }
    }
}
