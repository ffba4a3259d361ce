//! The failure table of the lease protocol, row by row, on real processes: what breaks is broken, and what must
//! hold is looked at from outside.

mod children;
mod commits;
mod field;
mod orders;
mod redis;
mod schedulers;
mod stores;
mod workers;
