//! What several test programs need.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test program uses a part of this, and fails by panic"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use dmf_lab::poll_until;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A connection to an IMAP server.
pub(crate) struct Imap(BufReader<TcpStream>);

impl Imap {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let mut imap = Self(BufReader::new(TcpStream::connect(addr).await.unwrap()));
        let greeting = imap.line().await;
        assert!(greeting.starts_with("* OK"), "{greeting}");
        imap
    }

    /// Sends a command and returns its tagged answer without the tag.
    pub(crate) async fn command(&mut self, command: &str) -> String {
        self.0.write_all(format!("t {command}\r\n").as_bytes()).await.unwrap();
        loop {
            let line = self.line().await;
            if let Some(answer) = line.strip_prefix("t ") {
                return answer.trim_end().to_owned();
            }
            assert!(!line.is_empty(), "the server hung up on {command}");
        }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        tokio::time::timeout(DEADLINE, self.0.read_line(&mut line)).await.unwrap().unwrap();
        line
    }
}

pub(crate) async fn login(addr: SocketAddr, user: &str, password: &str) -> String {
    Imap::connect(addr).await.command(&format!("LOGIN \"{user}\" \"{password}\"")).await
}

/// Asks Redis one thing and returns the first line of the answer.
pub(crate) async fn redis(port: u16, command: &str) -> String {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    let mut line = String::new();
    tokio::time::timeout(DEADLINE, stream.read_line(&mut line)).await.unwrap().unwrap();
    line.trim_end().to_owned()
}

/// The first packet of a MariaDB server, or nothing when it does not come.
pub(crate) async fn greeting(addr: SocketAddr, wait: Duration) -> Option<u8> {
    let mut bytes = [0; 5];
    let mut stream = TcpStream::connect(addr).await.ok()?;
    let read = tokio::time::timeout(wait, stream.read_exact(&mut bytes)).await;
    matches!(read, Ok(Ok(_))).then_some(bytes[4])
}

/// Living processes of a process group; a zombie that nobody reaps is dead.
pub(crate) fn living(group: i32) -> Vec<String> {
    let mut living = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((name, rest)) = stat.rsplit_once(") ") else { continue };
        let mut fields = rest.split(' ');
        let (state, in_group) = (fields.next(), fields.nth(1).and_then(|g| g.parse::<i32>().ok()));
        if in_group == Some(group) && state != Some("Z") {
            living.push(name.to_owned());
        }
    }
    living
}

/// Waits until neither the directory nor a process of these groups is there.
pub(crate) async fn assert_gone(dir: &Path, groups: &[i32]) {
    poll_until("the lab did not go", DEADLINE, async || {
        let living: Vec<String> = groups.iter().flat_map(|g| living(*g)).collect();
        if living.is_empty() && !dir.exists() {
            return Ok(());
        }
        Err(format!("{} exists: {}, processes: {living:?}", dir.display(), dir.exists()))
    })
    .await
    .unwrap();
}
