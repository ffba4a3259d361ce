//! A TCP proxy that counts what a server sees and breaks the line when told to.

mod faults;
mod imap_login;
mod record;
mod relay;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

pub use record::{Event, EventKind};

use crate::error::{Doing as _, Error, Result};
use crate::ports::Port;
use faults::{Faults, until_cut};
use record::Record;

/// How long a change of the listener may take.
const DEADLINE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(5);

/// Whether the proxy's port is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Open,
    /// The port is closed and no connection is left.
    Cut,
}

/// Forwards connections to one server, counts them, and can disturb them at any time. Its tasks run in the
/// runtime that [`Proxy::start`] was called in, and end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    _port: Port,
    faults: watch::Sender<Faults>,
    line: watch::Receiver<Line>,
    record: Arc<Record>,
    acceptor: AbortHandle,
}

impl Proxy {
    /// Opens a port on 127.0.0.1 whose connections go to `upstream`, which need not listen yet.
    pub async fn start(upstream: SocketAddr) -> Result<Self> {
        Self::start_on(Ipv4Addr::LOCALHOST, upstream).await
    }

    /// The same on another loopback address (127.0.0.2…), so that several source hosts have addresses of their
    /// own.
    pub async fn start_on(ip: Ipv4Addr, upstream: SocketAddr) -> Result<Self> {
        let port = Port::reserve()?;
        let addr = SocketAddr::from((ip, port.number()));
        let listener = TcpListener::bind(addr).await.doing(|| format!("listen on {addr}"))?;
        let (faults, seen) = watch::channel(Faults::default());
        let (line_is, line) = watch::channel(Line::Open);
        let record = Arc::new(Record::default());
        let accept = Acceptor { addr, upstream, faults: seen, line: line_is, record: Arc::clone(&record) };
        let acceptor = tokio::spawn(accept.run(listener)).abort_handle();
        Ok(Self { addr, _port: port, faults, line, record, acceptor })
    }

    /// Where the proxy listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The port that the proxy listens on; it stays the same over cuts.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Delays all that clients send, which makes each round trip longer by that; zero ends it.
    pub fn set_latency(&self, latency: Duration) {
        self.faults.send_modify(|f| f.latency = latency);
    }

    /// Limits each direction of each connection to so many bytes a second; `None` ends it.
    pub fn set_rate(&self, bytes_per_sec: Option<u64>) {
        self.faults.send_modify(|f| f.rate = bytes_per_sec);
    }

    /// While on: connections open and stay, but nothing is forwarded either way. What was sent meanwhile
    /// arrives when it is switched off.
    pub fn stall(&self, on: bool) {
        self.faults.send_modify(|f| f.stall = on);
    }

    /// While on: new connections open, and nobody ever answers them, also later.
    pub fn hang(&self, on: bool) {
        self.faults.send_modify(|f| f.hang = on);
    }

    /// Resets each connection once the server has sent this many bytes on it; `None` ends it.
    pub fn cut_after_bytes(&self, bytes: Option<u64>) {
        self.faults.send_modify(|f| f.cut_after = bytes);
    }

    /// Resets all connections and refuses new ones until [`Proxy::heal`]. When this returns, it is so.
    pub async fn cut(&self) -> Result<()> {
        self.faults.send_modify(|f| f.cut = true);
        self.wait_for(Line::Cut).await
    }

    /// Ends every fault. When this returns, the port is open.
    pub async fn heal(&self) -> Result<()> {
        self.faults.send_replace(Faults::default());
        self.wait_for(Line::Open).await
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.record.open_now()
    }

    /// Connections that were ever opened.
    pub fn total(&self) -> u64 {
        self.record.total()
    }

    /// The most connections that were open at the same time.
    pub fn max_open(&self) -> usize {
        self.record.max_open()
    }

    /// For each IMAP user that logged in, the most connections of that user that were open at the same time.
    pub fn max_per_user(&self) -> BTreeMap<String, usize> {
        self.record.max_per_user()
    }

    /// The users of [`Proxy::max_per_user`] that had more than one at the same time.
    pub fn overlaps(&self) -> BTreeMap<String, usize> {
        let mut users = self.max_per_user();
        users.retain(|_, most| *most > 1);
        users
    }

    /// All that happened, in its order. After a million events no more are kept; the counts stay right.
    pub fn events(&self) -> Vec<Event> {
        self.record.events()
    }

    async fn wait_for(&self, wanted: Line) -> Result<()> {
        let mut line = self.line.clone();
        match tokio::time::timeout(DEADLINE, line.wait_for(|now| *now == wanted)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Error::Deadline {
                what: format!("proxy {} was not {wanted:?}", self.addr),
                secs: DEADLINE.as_secs(),
                seen: format!("{:?}", *self.line.borrow()),
            }),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

struct Acceptor {
    addr: SocketAddr,
    upstream: SocketAddr,
    faults: watch::Receiver<Faults>,
    line: watch::Sender<Line>,
    record: Arc<Record>,
}

impl Acceptor {
    /// Serves until the proxy is dropped, and its connections with it.
    async fn run(mut self, first: TcpListener) {
        let mut connections = JoinSet::new();
        let mut listener = first;
        loop {
            self.accept_until_cut(&listener, &mut connections).await;
            drop(listener);
            while connections.join_next().await.is_some() {}
            self.line.send_replace(Line::Cut);
            if self.faults.wait_for(|f| !f.cut).await.is_err() {
                return;
            }
            listener = self.listen_again().await;
            self.line.send_replace(Line::Open);
        }
    }

    async fn accept_until_cut(&mut self, listener: &TcpListener, connections: &mut JoinSet<()>) {
        loop {
            tokio::select! {
                biased;
                () = until_cut(self.faults.clone()) => return,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((client, _)) => self.serve(client, connections),
                    // Out of file descriptors, or the client is gone already.
                    Err(_) => tokio::time::sleep(RETRY).await,
                },
            }
        }
    }

    /// Counts a connection here, in the order of accepting, and serves it in a task of its own.
    fn serve(&self, client: TcpStream, connections: &mut JoinSet<()>) {
        // Without a file descriptor to spare the client is turned away.
        if let Ok(conn) = self.record.opened(&client) {
            let (faults, record) = (self.faults.clone(), Arc::clone(&self.record));
            connections.spawn(relay::run(client, self.upstream, faults, record, conn));
        }
    }

    async fn listen_again(&self) -> TcpListener {
        loop {
            match TcpListener::bind(self.addr).await {
                Ok(listener) => return listener,
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }
}
