//! The HTTP server as clients meet it: on a real socket, with whatever they may do to it.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod bounds;
mod client;
mod drain;
mod keystores;
mod support;
mod tls;
