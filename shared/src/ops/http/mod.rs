//! HTTP of both processes: the server, its certificates, and what it listens on.

mod certificates;
mod connection;
pub mod listen;
pub mod server;
mod stream;

pub use certificates::Certificates;
pub use listen::{Limits, ListenSettings};
pub use server::Server;
