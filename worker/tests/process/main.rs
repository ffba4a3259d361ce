//! Children, guards and their supervisor, on real processes: small shell scripts that hang, fork, flood and ignore
//! signals.

#![allow(
    clippy::disallowed_methods,
    reason = "these tests start, freeze and kill processes of their own; one of them takes its orders by environment"
)]
#![allow(clippy::unwrap_used, reason = "what the tests share fails a test by panicking")]

mod bench;
mod ends;
mod family;
mod internal;
mod lease;
mod leftovers;
mod program;
mod secrets;
mod start;
mod worker;
