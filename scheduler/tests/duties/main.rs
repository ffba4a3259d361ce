//! The duties of a scheduler on a real MariaDB and Redis.

#![allow(clippy::unwrap_used, reason = "a test that can't go on panics where it stands")]

mod census;
mod crowd;
mod rebuild;
mod reconciler;
mod relay;
mod retention;
mod support;
