//! The worker: leases migrations, runs doveadm under guards, judges and records what happened.

pub mod doveadm;
pub mod gauges;
pub mod heartbeat;
pub mod held;
pub mod http;
pub mod lessor;
pub mod migration;
pub mod orders;
pub mod process;
pub mod progress;
pub mod registration;
pub mod retention;
pub mod runtime;
pub mod settings;
pub mod tools;
