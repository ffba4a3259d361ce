//! HTTP of both processes: the server and its certificates, who may see what, and the management endpoints.

pub mod access;
pub mod admin;
mod answers;
mod ant;
mod certificates;
mod connection;
pub mod endpoints;
pub mod guesses;
pub mod listen;
pub mod management;
pub mod peer;
pub mod problem;
pub mod server;
mod stream;

pub use access::{AccessRules, Judgement};
pub use admin::{Admin, single_header};
pub use certificates::Certificates;
pub use guesses::{Guesses, TooMany};
pub use listen::{Limits, ListenSettings};
pub use management::{Caller, Management, Readiness};
pub use peer::{Peer, TrustedProxies};
pub use problem::Problem;
pub use server::Server;
