//! A whole fleet for tests and for the demo: real scheduler and worker processes over the servers of a
//! [`dmf_lab::Lab`], with source hosts whose connections are counted.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use dmf_e2e::Fleet;
//! use dmf_lab::{Folders, Seed};
//!
//! Fleet::builder().schedulers(2).workers(2).run(async |fleet| {
//!     let customer = fleet.create_source("CustomerX").await?;
//!     let host = fleet.add_host(&customer, 2).await?;
//!     let truth = fleet.add_user("alice", "alicepw", &Seed::new(Folders::Normal, 50))?;
//!     customer.submit(&host.submission("alice", "alicepw")).await?;
//!     customer.wait_for("alice", "SUCCESS").await?;
//!     fleet.expect_mail("alice", &truth).await
//! })
//! .await
//! # }
//! ```
//!
//! All of it is gone when the fleet is dropped, however its process ends. When a test fails, the logs of all
//! schedulers and workers are printed.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "the harness starts processes and talks to people; no product code is in it"
)]

mod api;
mod binaries;
mod builder;
/// Random campaigns of faults.
pub mod chaos;
mod customer;
mod daemon;
/// The demo: twenty users moved in front of your eyes.
pub mod demo;
/// Faults of processes, stores and lines, and what must hold in spite of them.
pub mod faults;
mod fleet;
mod host;
mod management;
mod otlp;
mod secure;
mod settings;

pub use api::{Answer, Api};
pub use binaries::{Binaries, once_per_run};
pub use builder::Builder;
pub use customer::Customer;
pub use daemon::Daemon;
pub use fleet::Fleet;
pub use host::SourceHost;
pub use management::Management;
pub use otlp::{OtlpReceiver, SeenSpan};
pub use secure::SecureScheduler;
pub use settings::{ADMIN, ADMIN_PASSWORD, LeaseSecs};
