//! The guard's ends of sockets: the one to the worker on its standard input, and the one to the child being
//! launched.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::process::frame::{self, Frame, FrameReader};

/// The longest that a write may block; what is written mostly fits the socket's buffer.
const WRITE_LIMIT: Duration = Duration::from_secs(5);

/// A socket that carries frames.
pub(super) struct Link {
    socket: UnixStream,
    reader: FrameReader,
}

/// What a socket has to give right now.
pub(super) enum Incoming {
    /// A whole frame. There may be more.
    Frame(Frame),
    /// Nothing, or a part of a frame.
    Nothing,
    /// The other end is closed.
    Closed,
}

impl Link {
    /// Takes over the socket that is this process's standard input.
    pub(super) fn on_stdin() -> io::Result<Self> {
        let fd: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
        let socket = UnixStream::from(fd);
        // Fails for anything else than a socket: somebody has run an internal command by hand.
        socket.peer_addr()?;
        Self::new(socket)
    }

    /// Takes over a socket.
    pub(super) fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_write_timeout(Some(WRITE_LIMIT))?;
        Ok(Self { socket, reader: FrameReader::new() })
    }

    /// Bounds how long a read may block.
    pub(super) fn limit_reads(&self, limit: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(limit))
    }

    /// Writes one frame; waits at most [`WRITE_LIMIT`] for room.
    pub(super) fn send<T: Serialize>(&mut self, message: &T, payload: &[u8]) -> io::Result<()> {
        let bytes: Zeroizing<Vec<u8>> = frame::encode(message, payload).map_err(io::Error::other)?;
        self.socket.write_all(&bytes)
    }

    /// Reads once; to be called when the socket is readable.
    pub(super) fn receive(&mut self) -> io::Result<Incoming> {
        match self.socket.read(self.reader.vacant()) {
            Ok(0) => Ok(Incoming::Closed),
            Ok(count) => {
                let frame = self.reader.advance(count).map_err(io::Error::other)?;
                Ok(frame.map_or(Incoming::Nothing, Incoming::Frame))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Incoming::Nothing),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Incoming::Closed),
            Err(error) => Err(error),
        }
    }

    /// Waits for one whole message; `None` when the other end closes before.
    pub(super) fn wait_for<T: DeserializeOwned>(&mut self) -> io::Result<Option<(T, Frame)>> {
        loop {
            match self.receive()? {
                Incoming::Frame(frame) => {
                    return Ok(Some((frame.parse().map_err(io::Error::other)?, frame)));
                }
                Incoming::Nothing => {}
                Incoming::Closed => return Ok(None),
            }
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
