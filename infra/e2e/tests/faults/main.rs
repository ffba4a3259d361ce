//! The failure table of the lease protocol, row by row, on real processes: what breaks is broken, and what must
//! hold is looked at from outside.

#![allow(clippy::disallowed_methods, reason = "looks at MariaDB from outside; no product code is in it")]

mod backends;
mod chaos;
mod children;
mod claims;
mod commits;
mod delays;
mod doveadm;
mod field;
mod orders;
mod redis;
mod rolling;
mod schedulers;
mod stores;
mod workers;
