//! `/backends`: the workers.

pub mod list;
pub mod read;

use dmf_shared::store::{Backend, BackendState};
use serde_json::{Value, json};

use crate::api::record::{object, time};

/// A worker that was silent for so long counts as dead here, in milliseconds; the same time after
/// which its leases are.
const SILENCE_MS: u64 = 45_000;

fn body(backend: &Backend) -> Value {
    let alive = backend.silent_ms < SILENCE_MS && backend.actual_state != BackendState::Gone;
    object([
        ("name", json!(backend.name)),
        ("target", json!(backend.target)),
        ("state", json!(backend.actual_state.as_str())),
        ("wantedState", json!(backend.wanted_state.as_str())),
        ("initialState", json!(backend.initial_state.map(BackendState::as_str))),
        ("threadsInUse", json!(backend.threads_in_use)),
        ("maxThreads", json!(backend.max_threads)),
        ("version", json!(backend.version)),
        ("machine", json!(backend.machine)),
        ("incarnation", json!(backend.incarnation.to_string())),
        ("lastHeartbeat", json!(time(backend.last_heartbeat))),
        ("alive", json!(alive)),
    ])
}
