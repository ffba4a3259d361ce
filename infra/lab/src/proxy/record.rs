use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::net::TcpStream;

/// A full record of some weeks of tests; more is not kept.
const MAX_EVENTS: usize = 1_000_000;

/// Something that happened to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When the proxy saw it.
    pub at: Instant,
    /// What it was.
    pub kind: EventKind,
    /// Number of the connection, from 1 in the order of opening.
    pub conn: u64,
    /// Connections open after it.
    pub open: usize,
    /// The connection's IMAP user, once known.
    pub user: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A client connected.
    Open,
    /// The client named its user: LOGIN or AUTHENTICATE was sent, whether or not it succeeds.
    User,
    /// The client hung up, or the connection was ended for it.
    Close,
}

/// Counts connections. All counting is under one lock, so that the order of the events is the order of the truth.
#[derive(Debug, Default)]
pub(super) struct Record(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    events: Vec<Event>,
    total: u64,
    connections: BTreeMap<u64, Connection>,
    max_open: usize,
    per_user: BTreeMap<String, usize>,
    max_per_user: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Connection {
    /// The client's socket, to look whether the client has hung up.
    socket: OwnedFd,
    user: Option<String>,
}

impl Record {
    /// Counts a new connection in and gives it a number.
    pub(super) fn opened(&self, client: &TcpStream) -> std::io::Result<u64> {
        let socket = client.as_fd().try_clone_to_owned()?;
        let mut state = self.state();
        state.close_hung_up();
        state.total += 1;
        let conn = state.total;
        state.connections.insert(conn, Connection { socket, user: None });
        state.max_open = state.max_open.max(state.connections.len());
        state.note(EventKind::Open, conn, None);
        Ok(conn)
    }

    /// The user of a connection became known.
    pub(super) fn named(&self, conn: u64, user: &str) {
        let mut state = self.state();
        state.close_hung_up();
        let mut now = 1;
        // A client may have hung up before its login was read.
        if let Some(connection) = state.connections.get_mut(&conn) {
            connection.user = Some(user.into());
            let open = state.per_user.entry(user.into()).or_default();
            *open += 1;
            now = *open;
        }
        let most = state.max_per_user.entry(user.into()).or_default();
        *most = now.max(*most);
        state.note(EventKind::User, conn, Some(user.into()));
    }

    /// The client of a connection is gone, or the connection is. Only the first call counts.
    pub(super) fn closed(&self, conn: u64) {
        self.state().close(conn);
    }

    pub(super) fn open_now(&self) -> usize {
        let mut state = self.state();
        state.close_hung_up();
        state.connections.len()
    }

    pub(super) fn total(&self) -> u64 {
        self.state().total
    }

    pub(super) fn max_open(&self) -> usize {
        self.state().max_open
    }

    pub(super) fn max_per_user(&self) -> BTreeMap<String, usize> {
        self.state().max_per_user.clone()
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.state().events.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts out the connections whose clients have hung up. A client that closes one connection and opens the
    /// next has one at a time, though the runtime may see the second before the end of the first.
    fn close_hung_up(&mut self) {
        // The flag that says "the other side sends no more", also while unread bytes wait; nix has no name for it.
        let hung_up = PollFlags::from_bits_retain(libc::POLLRDHUP);
        let numbers: Vec<u64> = self.connections.keys().copied().collect();
        let mut sockets: Vec<PollFd<'_>> =
            self.connections.values().map(|c| PollFd::new(c.socket.as_fd(), hung_up)).collect();
        if poll(&mut sockets, PollTimeout::ZERO).is_err() {
            return;
        }
        // `None`: a flag without a name is set, which is ours.
        let gone: Vec<u64> = std::iter::zip(numbers, &sockets)
            .filter(|(_, socket)| socket.revents().is_none_or(|flags| !flags.is_empty()))
            .map(|(conn, _)| conn)
            .collect();
        for conn in gone {
            self.close(conn);
        }
    }

    fn close(&mut self, conn: u64) {
        let Some(connection) = self.connections.remove(&conn) else { return };
        if let Some(now) = connection.user.as_ref().and_then(|user| self.per_user.get_mut(user)) {
            *now = now.saturating_sub(1);
        }
        self.note(EventKind::Close, conn, connection.user);
    }

    fn note(&mut self, kind: EventKind, conn: u64, user: Option<String>) {
        if self.events.len() < MAX_EVENTS {
            let open = self.connections.len();
            self.events.push(Event { at: Instant::now(), kind, conn, open, user });
        }
    }
}
