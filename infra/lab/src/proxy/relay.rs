use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::proxy::faults::{Faults, until_cut};
use crate::proxy::imap_login::LoginReader;
use crate::proxy::record::Record;

const CHUNK: usize = 16 * 1024;
/// Chunks that are under way in one direction; a sender must wait when there are more.
const UNDER_WAY: usize = 64;
/// With a limited rate, bytes go out this often.
const PACE: u64 = 20;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

/// A chunk with the time at which it came in.
type Chunk = (Instant, Vec<u8>);

/// Serves one connection, of this number in the record, to its end.
pub(super) async fn run(
    mut client: TcpStream,
    upstream: SocketAddr,
    faults: watch::Receiver<Faults>,
    record: Arc<Record>,
    conn: u64,
) {
    let mut server = None;
    let outcome = tokio::select! {
        outcome = forward(&mut client, &mut server, upstream, &faults, Watch { conn, record: &record }) => outcome,
        () = until_cut(faults.clone()) => Err(io::ErrorKind::ConnectionReset.into()),
    };
    // The record holds the client's socket too; only the last close resets the connection.
    record.closed(conn);
    if outcome.is_err() {
        for stream in [Some(&client), server.as_ref()].into_iter().flatten() {
            drop(stream.set_zero_linger());
        }
    }
}

/// The record, as one connection writes to it.
#[derive(Debug, Clone, Copy)]
struct Watch<'a> {
    conn: u64,
    record: &'a Record,
}

async fn forward(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    upstream: SocketAddr,
    faults: &watch::Receiver<Faults>,
    watch: Watch<'_>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    if faults.borrow().hang {
        let mut sink = [0; 1024];
        while client.read(&mut sink).await? > 0 {}
        return Ok(());
    }
    let server = server.insert(TcpStream::connect(upstream).await?);
    server.set_nodelay(true)?;
    let (client_says, to_client) = client.split();
    let (server_says, to_server) = server.split();
    tokio::try_join!(
        pump(client_says, to_server, faults.clone(), Way::ToServer, Some(watch)),
        pump(server_says, to_client, faults.clone(), Way::ToClient, None),
    )?;
    Ok(())
}

/// Carries one direction to its end, and ends it on the other side.
async fn pump(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    faults: watch::Receiver<Faults>,
    way: Way,
    watch: Option<Watch<'_>>,
) -> io::Result<()> {
    let (chunks, under_way) = mpsc::channel(UNDER_WAY);
    tokio::try_join!(take(from, chunks, watch), give(to, under_way, faults, way))?;
    Ok(())
}

async fn take(
    mut from: impl AsyncRead + Unpin,
    chunks: mpsc::Sender<Chunk>,
    watch: Option<Watch<'_>>,
) -> io::Result<()> {
    let mut login = LoginReader::default();
    loop {
        let mut chunk = vec![0; CHUNK];
        let len = from.read(&mut chunk).await?;
        if len == 0 {
            if let Some(watch) = watch {
                watch.record.closed(watch.conn);
            }
            return Ok(());
        }
        chunk.truncate(len);
        if let Some(watch) = watch
            && let Some(user) = login.read(&chunk)
        {
            watch.record.named(watch.conn, &user);
        }
        if chunks.send((Instant::now(), chunk)).await.is_err() {
            return Ok(());
        }
    }
}

async fn give(
    mut to: impl AsyncWrite + Unpin,
    mut under_way: mpsc::Receiver<Chunk>,
    mut faults: watch::Receiver<Faults>,
    way: Way,
) -> io::Result<()> {
    let mut sent = 0;
    while let Some((came_in, chunk)) = under_way.recv().await {
        let mut left = chunk.as_slice();
        while !left.is_empty() {
            let now = clear_to_send(&mut faults, came_in, way).await;
            let (piece, rest) = left.split_at(piece_len(left.len(), now, way, sent)?);
            to.write_all(piece).await?;
            left = rest;
            sent += piece.len() as u64;
            if let Some(rate) = now.rate {
                pause(&mut faults, sending_time(piece.len(), rate)).await;
            }
        }
    }
    clear_to_send(&mut faults, Instant::now(), way).await;
    // A peer that has closed altogether needs no end of file.
    drop(to.shutdown().await);
    Ok(())
}

/// Waits until the line is not stalled and the chunk has been under way long enough.
async fn clear_to_send(faults: &mut watch::Receiver<Faults>, came_in: Instant, way: Way) -> Faults {
    loop {
        let now = match faults.wait_for(|f| !f.stall).await {
            Ok(now) => *now,
            // The proxy is being dropped.
            Err(_) => return Faults::default(),
        };
        let due = came_in + if way == Way::ToServer { now.latency } else { Duration::ZERO };
        if due <= Instant::now() {
            return now;
        }
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            _ = faults.changed() => {}
        }
    }
}

/// How much of a chunk may go at once.
///
/// # Errors
/// The connection has carried all that it may.
fn piece_len(left: usize, faults: Faults, way: Way, sent: u64) -> io::Result<usize> {
    let mut len = left;
    if let Some(rate) = faults.rate {
        len = len.min(usize::try_from((rate / PACE).max(1)).unwrap_or(usize::MAX));
    }
    if let Some(limit) = faults.cut_after.filter(|_| way == Way::ToClient) {
        let allowed = usize::try_from(limit.saturating_sub(sent)).unwrap_or(usize::MAX);
        if allowed == 0 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        len = len.min(allowed);
    }
    Ok(len)
}

/// Sleeps, but not beyond a change of the faults.
async fn pause(faults: &mut watch::Receiver<Faults>, time: Duration) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        _ = faults.changed() => {}
    }
}

/// How long so many bytes take at a rate of bytes a second.
fn sending_time(len: usize, rate: u64) -> Duration {
    Duration::from_nanos((len as u64).saturating_mul(1_000_000_000) / rate.max(1))
}
