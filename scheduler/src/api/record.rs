//! A migration's record as JSON.

use super::v1;
use dmf_shared::store::Record;
use serde_json::{Map, Value, json};

/// A time as text; every answer uses this form.
pub use dmf_shared::domain::clock::to_text as time;

/// An object in the given order, without the fields that are null; v1 has these, too.
pub fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let nulls = v1::prints_nulls();
    let fields = fields.into_iter().filter(|(_, value)| nulls || !value.is_null());
    Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

/// The record as `rest-api.md` lists its fields.
pub fn record(record: &Record) -> Value {
    object([
        ("id", json!(record.id)),
        ("sourceUid", json!(record.source_uid)),
        ("created", json!(time(record.created))),
        ("status", json!(record.status)),
        ("phase", json!(record.phase)),
        ("priority", json!(record.priority)),
        ("notBefore", json!(record.not_before.map(time))),
        ("started", json!(record.started.map(time))),
        ("stopped", json!(record.stopped.map(time))),
        ("attempt", json!(Some(record.attempt).filter(|attempt| *attempt > 0))),
        ("details", json!(record.details)),
        ("backend", json!(record.backend)),
        ("modified", json!(time(record.modified))),
        ("targetMessageCount", json!(record.target_message_count)),
        ("targetMailboxSize", json!(record.target_mailbox_size)),
        ("sourceMessageCount", json!(record.source_message_count)),
        ("sourceMailboxSize", json!(record.source_mailbox_size)),
        ("expungedMessageCount", json!(record.expunged_message_count)),
        ("syncMessageCount", json!(record.sync_message_count)),
        ("syncSpeed", json!(record.sync_speed)),
        ("verification", json!(record.verification)),
    ])
}
