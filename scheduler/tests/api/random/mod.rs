//! Random requests: whatever comes in, it is no fault of ours (500), hangs nothing, and a refusal has the shape
//! of all errors.

mod bodies;
mod bulk;
mod json;
mod paths;
mod queries;

use axum::{
    body::Body,
    http::{Request, header},
};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use crate::support::{ADMIN, Answer, KEY, KEY_HEADER};

/// So many values, the same in each run.
fn samples<T: std::fmt::Debug>(count: usize, strategy: &impl Strategy<Value = T>) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

fn assert_sound(answer: &Answer, what: &dyn std::fmt::Debug) {
    let status = answer.status.as_u16();
    assert!(status < 500, "{what:?}: {answer:?}");
    if status >= 400 {
        assert!(!answer.errors(status).is_empty(), "{what:?}");
    }
}

fn with_all_credentials(call: Request<Body>) -> Request<Body> {
    let (mut parts, body) = call.into_parts();
    parts.headers.insert(header::AUTHORIZATION, ADMIN.parse().unwrap());
    parts.headers.insert(KEY_HEADER, KEY.parse().unwrap());
    parts.headers.entry(header::CONTENT_TYPE).or_insert("application/json".parse().unwrap());
    Request::from_parts(parts, body)
}
