//! The Debian packages: what is in them, and how they are installed, started, upgraded and removed in a tree of their
//! own, with a stand-in for the service manager.

#![allow(clippy::disallowed_methods, reason = "packages are handled as an administrator does")]

mod contents;
mod notify;
mod package;
mod scheduler;
mod service;
mod tree;
mod unit;
mod units;
mod worker;
