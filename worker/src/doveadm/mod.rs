//! All that the worker knows about doveadm, without running it: how an argv is built and refused, how secrets
//! stay out of it, how output is read and what an end means. Measured on real runs; `tests/fixtures` holds them.

pub mod argv;
pub mod classify;
pub mod evidence;
pub mod judge;
pub mod log_line;
pub mod mail_log;
mod secret_config;
mod signs;
pub mod status;
pub mod status_command;
pub mod version;
