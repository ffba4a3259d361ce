//! The original's own settings file and the manual's requests, over TLS: what a site that changes over has.

#![allow(clippy::disallowed_methods, reason = "the programs, curl and openssl are run as an operator does")]

mod curl;
mod manual;
mod reload;
mod scheduler;
