//! Metrics: one registry behind the `metrics` facade serves both the JSON of the original (`/metrics`,
//! `/metrics/{name}`) and Prometheus' text (`/prometheus`).
//!
//! Names are written as the original writes them, with dots (`http.server.requests`); Prometheus sees
//! `http_server_requests_seconds`. Who counts says `metrics::counter!("dmf.leases.reaped").increment(1)`;
//! [`describe()`] says once what a name means.

mod describe;
mod distribution;
mod events;
mod family;
mod json;
mod process;
mod prometheus;
mod recorder;
mod stores;

pub use describe::describe;
pub use events::EventCounter;
pub use family::{Family, Kind, Measure, Series};
pub use json::{InvalidTag, Query};
pub use recorder::{Installed, Metrics};
pub use stores::watch_store;
