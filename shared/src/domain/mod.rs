//! The words and rules of the field, without I/O.

pub mod clock;
pub mod command;
pub mod command_rules;
pub mod ids;
pub mod inject;
pub mod migration;
pub mod outcome;
pub mod retry;
pub mod sealed;
pub mod trace;
pub mod user;
