//! A TCP proxy with bad weather, between the daemon and a sink.
//!
//! A call is carried as it comes until the weather changes; whatever is under
//! way then meets the new weather. What a caller who hung up had sent is thrown
//! away, as a network would: the sink must not see a call after its end.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Nothing.
    Clear,
    /// Every piece comes this much later.
    Delay(Duration),
    /// RST, by turns before the sink got the request and instead of the answer.
    Reset,
    /// The sending side to the caller is closed, nothing is answered.
    HalfClose,
    /// Answers come byte by byte, with this pause.
    Drip(Duration),
    /// Requests disappear; the connection stays open.
    BlackHole,
    /// Half of the answer, then the end.
    Truncate,
}

/// A proxy in front of one address; it ends when dropped.
pub struct FaultProxy {
    /// `127.0.0.1:<port>`
    pub address: String,
    sky: Arc<Sky>,
    task: AbortHandle,
}

struct Sky {
    weather: Mutex<Weather>,
    faults: AtomicU64,
}

impl Sky {
    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap()
    }

    /// Counts a fault; returns how many were before.
    fn strike(&self) -> u64 {
        self.faults.fetch_add(1, Ordering::Relaxed)
    }
}

impl FaultProxy {
    /// A proxy that leads to `sink` (`host:port`), in clear weather.
    pub async fn start(sink: &str) -> Self {
        let sink: SocketAddr = sink.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let sky = Arc::new(Sky { weather: Mutex::new(Weather::Clear), faults: AtomicU64::new(0) });
        let task = tokio::spawn(accept(listener, sink, Arc::clone(&sky))).abort_handle();
        Self { address, sky, task }
    }

    /// Changes the weather, also for connections that are open.
    pub fn set(&self, weather: Weather) {
        *self.sky.weather.lock().unwrap() = weather;
    }

    /// How many pieces met bad weather.
    pub fn faults(&self) -> u64 {
        self.sky.faults.load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, sink: SocketAddr, sky: Arc<Sky>) {
    // Dropped with the proxy, and with it every connection.
    let mut connections = JoinSet::new();
    while let Ok((caller, _)) = listener.accept().await {
        connections.spawn(carry(caller, sink, Arc::clone(&sky)));
        while connections.try_join_next().is_some() {}
    }
}

/// Carries one connection to its end. An error is one, too.
async fn carry(mut caller: TcpStream, sink: SocketAddr, sky: Arc<Sky>) -> Result<()> {
    let mut sink = TcpStream::connect(sink).await?;
    caller.set_nodelay(true)?;
    sink.set_nodelay(true)?;
    let (mut asked, mut answered) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    loop {
        let goes_on = tokio::select! {
            length = caller.read(&mut asked) => {
                ask(&mut caller, &mut sink, &asked[..length?], &sky).await?
            }
            length = sink.read(&mut answered) => answer(&mut caller, &answered[..length?], &sky).await?,
        };
        if !goes_on {
            return Ok(());
        }
    }
}

/// A piece of a request; whether the connection goes on.
async fn ask(caller: &mut TcpStream, sink: &mut TcpStream, piece: &[u8], sky: &Sky) -> Result<bool> {
    if piece.is_empty() {
        return Ok(false);
    }
    match sky.weather() {
        Weather::Delay(delay) if !wait(caller, delay, sky).await => return Ok(false),
        Weather::Reset if sky.strike().is_multiple_of(2) => return reset(caller),
        Weather::HalfClose => {
            sky.strike();
            caller.shutdown().await?;
            return swallow(caller).await;
        }
        Weather::BlackHole => {
            sky.strike();
            return swallow(caller).await;
        }
        _ => {}
    }
    sink.write_all(piece).await?;
    Ok(true)
}

/// A piece of an answer; whether the connection goes on.
async fn answer(caller: &mut TcpStream, piece: &[u8], sky: &Sky) -> Result<bool> {
    if piece.is_empty() {
        return Ok(false);
    }
    match sky.weather() {
        Weather::Delay(delay) if !wait(caller, delay, sky).await => return Ok(false),
        Weather::Reset => return reset(caller),
        Weather::BlackHole => return swallow(caller).await,
        Weather::Truncate => {
            sky.strike();
            caller.write_all(&piece[..piece.len() / 2]).await?;
            return Ok(false);
        }
        Weather::Drip(pause) => return drip(caller, piece, pause, sky).await,
        _ => {}
    }
    caller.write_all(piece).await?;
    Ok(true)
}

/// False when the caller is gone after the wait.
async fn wait(caller: &TcpStream, delay: Duration, sky: &Sky) -> bool {
    sky.strike();
    tokio::time::sleep(delay).await;
    is_there(caller)
}

/// Nothing to read means: still there.
fn is_there(caller: &TcpStream) -> bool {
    !matches!(caller.peek(&mut [0]).now_or_never(), Some(Ok(0) | Err(_)))
}

fn reset(caller: &TcpStream) -> Result<bool> {
    caller.set_zero_linger()?;
    Ok(false)
}

/// Reads and forgets until the caller has enough.
async fn swallow(caller: &mut TcpStream) -> Result<bool> {
    let mut nothing = vec![0; 4 << 10];
    while caller.read(&mut nothing).await? > 0 {}
    Ok(false)
}

async fn drip(caller: &mut TcpStream, piece: &[u8], pause: Duration, sky: &Sky) -> Result<bool> {
    sky.strike();
    for byte in piece {
        caller.write_all(std::slice::from_ref(byte)).await?;
        tokio::time::sleep(pause).await;
        if !is_there(caller) {
            return Ok(false);
        }
    }
    Ok(true)
}
