//! From YAML files and the environment to typed settings; every fault is reported at once.
//!
//! Machinery only: which keys exist is said by the scheduler's and the worker's own settings.
//! The way: [`load::Sources::load`] merges files into [`Properties`], and a [`Reader`] over these
//! gives typed values, remembers what was asked for and collects what is wrong.

pub mod duration;
pub mod environment;
pub mod error;
pub mod jdbc;
pub mod key;
pub mod lease;
pub mod load;
pub mod placeholder;
pub mod pool;
pub mod properties;
pub mod reader;
mod size;
mod unknown;
pub mod yaml;

pub use environment::Environment;
pub use error::{Errors, Fault, Origin, Warning};
pub use jdbc::{DataSource, DatabaseUrl, TlsMode};
pub use lease::LeaseTimes;
pub use load::Sources;
pub use pool::PoolSettings;
pub use properties::Properties;
pub use reader::{Reader, Resource};

/// Exit code of a process whose configuration is wrong (`EX_CONFIG` of `sysexits.h`).
pub const EXIT_CODE: u8 = 78;
