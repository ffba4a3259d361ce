//! The users that are submitted: the same fields on either side.

use serde_json::{Value, json};

use crate::stage::{HOST, TARGET};

/// Length of a sealed password: nonce, the text, tag.
pub(crate) const SEALED_BYTES: usize = 12 + 16 + 16;

/// A user that no other one has been like.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) uid: String,
}

impl Row {
    /// Number `n` of this measurement.
    pub(crate) fn new(measurement: &str, n: u64) -> Self {
        Self { uid: format!("{measurement}.{n:08}@mail.example") }
    }

    /// As the body of a submit.
    pub(crate) fn body(&self) -> Value {
        json!({
            "sourceUid": self.uid,
            "targetUid": self.uid,
            "target": TARGET,
            "sourcehost": HOST,
            "email": self.uid,
            "password": "sixteen-letters!",
            "phase": "PRE_SYNC",
        })
    }
}
