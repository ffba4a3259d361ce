//! Private servers for tests and for the demo: MariaDB, Redis, PostgreSQL, source Dovecots with mail in them, a target Dovecot,
//! and a proxy that counts connections and breaks them.
//!
//! ```no_run
//! # async fn example() -> dmf_lab::Result<()> {
//! use dmf_lab::{Folders, Lab, Proxy, Seed, Storage};
//!
//! let lab = Lab::builder().mariadb().redis().source("old").target(Storage::Mdbox).start().await?;
//! let old = lab.source("old");
//! old.add_user("alice", "alicepw")?;
//! let truth = old.seed("alice", &Seed::new(Folders::Odd, 150))?;
//! let proxy = Proxy::start(old.addr()).await?;
//! // … migrate alice from 127.0.0.1:proxy.port() into lab.target().conf_path() …
//! assert_eq!(lab.target().mailboxes("alice").await?, truth.counts());
//! assert!(proxy.max_open() <= 4);
//! # Ok(()) }
//! ```
//!
//! Everything works for root and for any other user, many times at once, and needs nothing but the Debian packages
//! that an error names. What a lab started is gone when the [`Lab`] is dropped, however its process ends.

#![allow(
    clippy::disallowed_methods,
    reason = "the lab starts servers and runs a proxy of its own; no product code is in it"
)]

mod account;
mod control;
mod describe;
mod dovecot;
mod error;
mod home;
mod lab;
mod mail;
mod mariadb;
mod poll;
mod ports;
mod postgres;
mod probe;
/// The programs that a lab runs.
pub mod programs;
mod proxy;
mod redis;
mod sentinel;
mod server;
mod template;

pub use describe::{Description, Source, Target};
pub use dovecot::{Count, Login, Message, SourceDovecot, Storage, TargetDovecot};
pub use error::{Error, Result};
pub use lab::{Builder, Lab};
pub use mail::{Folders, MailboxTruth, Seed, Seeded};
pub use mariadb::MariaDb;
pub use poll::poll_until;
pub use ports::Port;
pub use postgres::Postgres;
pub use proxy::{Event, EventKind, Proxy};
pub use redis::{DiskCopy, Persistence, Redis};
pub use sentinel::Sentinel;
