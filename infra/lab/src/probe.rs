use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// Longest time that one look may take; the next one follows soon.
const LOOK: Duration = Duration::from_secs(1);
/// Version byte of the greeting packet; an error packet has 0xff in its place.
const MYSQL_PROTOCOL: u8 = 10;

/// PostgreSQL's start of a session: length, protocol 3.0, user and database.
const POSTGRES_START: &[u8] = b"\x00\x00\x00\x29\x00\x03\x00\x00user\0postgres\0database\0postgres\0\0";
/// First byte of the answer to somebody who is let in; one that is still starting answers with an error.
const POSTGRES_WELCOME: u8 = b'R';

/// How to see that a server serves.
#[derive(Debug, Clone)]
pub(crate) enum Probe {
    /// A MariaDB server greets on this port.
    MariaDb(u16),
    /// A Redis server answers PING on this port, its data loaded.
    Redis(u16),
    /// A PostgreSQL server lets its owner in on this port.
    Postgres(u16),
    /// An IMAP server greets on this port.
    Imap(u16),
    /// Somebody accepts on this Unix socket.
    Socket(PathBuf),
}

impl Probe {
    /// Looks once.
    pub(crate) async fn is_ready(&self) -> bool {
        match timeout(LOOK, self.look()).await {
            Ok(Ok(ready)) => ready,
            Ok(Err(_)) | Err(_) => false,
        }
    }

    async fn look(&self) -> std::io::Result<bool> {
        match self {
            Self::MariaDb(port) => {
                let mut greeting = [0; 5];
                connect(*port).await?.read_exact(&mut greeting).await?;
                Ok(greeting[4] == MYSQL_PROTOCOL)
            }
            Self::Redis(port) => {
                let mut stream = connect(*port).await?;
                stream.write_all(b"PING\r\n").await?;
                let mut answer = [0; 5];
                stream.read_exact(&mut answer).await?;
                Ok(&answer == b"+PONG")
            }
            Self::Postgres(port) => {
                let mut stream = connect(*port).await?;
                stream.write_all(POSTGRES_START).await?;
                let mut answer = [0; 1];
                stream.read_exact(&mut answer).await?;
                Ok(answer[0] == POSTGRES_WELCOME)
            }
            Self::Imap(port) => {
                let mut greeting = [0; 4];
                connect(*port).await?.read_exact(&mut greeting).await?;
                Ok(&greeting == b"* OK")
            }
            Self::Socket(path) => UnixStream::connect(path).await.map(|_| true),
        }
    }
}

async fn connect(port: u16) -> std::io::Result<TcpStream> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_session_has_the_length_that_it_says() {
        let length = u32::from_be_bytes([0, 1, 2, 3].map(|place| POSTGRES_START[place]));
        assert_eq!(usize::try_from(length).unwrap(), POSTGRES_START.len());
    }
}
