//! Running the process: logs, start and stop, health.

pub mod health;
pub mod http;
pub mod lifecycle;
pub mod log_format;
pub mod log_level;
pub mod metrics;
pub mod telemetry;

pub use lifecycle::Lifecycle;
pub use metrics::Metrics;
pub use telemetry::{Telemetry, TelemetrySettings};
