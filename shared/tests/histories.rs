//! Random histories of calls on the real scripts and the real store, each against a plain model.
//!
//! Calls come in any order, repeated, and with stale, right and newer epochs. After each one, all that
//! the public API shows is compared with the model. `PROPTEST_CASES` sets how many histories are tried,
//! `PROPTEST_RNG_SEED` replays; a failure prints both and the shortest history that shows it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

#[allow(unreachable_pub, reason = "parts of one test binary")]
mod histories {
    pub mod campaign;
    mod queue;
    mod store;
}
