//! Running the process: logs, metrics and traces, start and stop, health.

pub mod health;
mod health_settings;
pub mod http;
pub mod lifecycle;
pub mod log_format;
pub mod log_level;
pub mod metrics;
pub mod telemetry;
pub mod traces;

pub use health_settings::{DiskSpace, HealthSettings};
pub use lifecycle::Lifecycle;
pub use metrics::{Metrics, watch_store};
pub use telemetry::{Telemetry, TelemetrySettings};
