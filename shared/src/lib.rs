//! What scheduler and worker of the migration framework share.
//!
//! Arrows run one way: `domain ← config, crypto ← store, queue`; `ops` knows `config` only;
//! `store` and `queue` do not know each other. Who needs both takes both. `batcher` knows nobody.

pub mod batcher;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod ops;
pub mod queue;
pub mod store;
