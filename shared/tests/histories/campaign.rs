//! Runs random histories: picks the seed, shrinks what fails, says how to replay it.

use std::fmt::Debug;

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner},
};
use tokio::runtime::{Builder, Runtime};

/// What the checks of a history give: what was seen that must not be.
pub type Checked<T = ()> = Result<T, String>;

/// Fails a check with a text unless the condition holds.
#[macro_export]
macro_rules! check {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err(format!($($text)+));
        }
    };
}

/// How long a failing history is shrunk, in milliseconds: less than a test may take.
const SHRINK_MS: u32 = 40_000;

pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Tries histories of `strategy`, one for every `share` of the configured cases (256 by default).
pub fn run<S>(share: u32, strategy: &S, mut history: impl FnMut(S::Value) -> Checked)
where
    S: Strategy<Value: Debug>,
{
    let mut config = Config { failure_persistence: None, max_shrink_time: SHRINK_MS, ..Config::default() };
    let cases = config.cases;
    config.cases = cases.div_ceil(share);
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => fastrand::u64(..),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    let history = std::cell::RefCell::new(&mut history);
    let tried = TestRunner::new(config)
        .run(strategy, |calls| (history.borrow_mut())(calls).map_err(TestCaseError::fail));
    match tried {
        Ok(()) => {}
        Err(TestError::Fail(reason, calls)) => {
            panic!(
                "{reason}\nhistory: {calls:#?}\nreplay with PROPTEST_RNG_SEED={seed} PROPTEST_CASES={cases}"
            )
        }
        Err(TestError::Abort(reason)) => panic!("no history could be made: {reason}"),
    }
}
