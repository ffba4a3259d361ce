//! A migration's record in answers.

use dmf_shared::{queue, store};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::{free_object, free_objects, is_left_out, phase, status};

/// A time as text; every answer uses this form.
pub use dmf_shared::domain::clock::to_text as time;

/// The record as `rest-api.md` lists its fields.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Migration)]
pub struct Record {
    id: u64,
    source_uid: String,
    #[schema(format = DateTime)]
    created: String,
    #[schema(schema_with = status)]
    status: &'static str,
    #[schema(schema_with = phase)]
    phase: &'static str,
    priority: bool,
    #[serde(skip_serializing_if = "is_left_out")]
    #[schema(format = DateTime)]
    not_before: Option<String>,
    #[serde(skip_serializing_if = "is_left_out")]
    #[schema(format = DateTime)]
    started: Option<String>,
    #[serde(skip_serializing_if = "is_left_out")]
    #[schema(format = DateTime)]
    stopped: Option<String>,
    #[serde(skip_serializing_if = "is_left_out")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "is_left_out")]
    #[schema(schema_with = free_objects)]
    details: Option<Value>,
    #[serde(skip_serializing_if = "is_left_out")]
    backend: Option<String>,
    #[schema(format = DateTime)]
    modified: String,
    #[serde(skip_serializing_if = "is_left_out")]
    target_message_count: Option<u64>,
    #[serde(skip_serializing_if = "is_left_out")]
    target_mailbox_size: Option<u64>,
    #[serde(skip_serializing_if = "is_left_out")]
    source_message_count: Option<u64>,
    #[serde(skip_serializing_if = "is_left_out")]
    source_mailbox_size: Option<u64>,
    #[serde(skip_serializing_if = "is_left_out")]
    expunged_message_count: Option<u64>,
    #[serde(skip_serializing_if = "is_left_out")]
    sync_message_count: Option<u64>,
    #[serde(skip_serializing_if = "is_left_out")]
    sync_speed: Option<u64>,
    #[serde(skip_serializing_if = "is_left_out")]
    #[schema(schema_with = free_object)]
    verification: Option<Value>,
    /// Only while it runs, and only in v2.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
}

/// How far a running migration has come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Progress)]
pub struct Progress {
    /// The step that runs, as `details` names it.
    step: String,
    /// The mailbox of the last mail, once there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    mailbox: Option<String>,
    /// Mails saved so far.
    saved: u64,
    /// Mails expunged so far.
    expunged: u64,
}

impl Record {
    /// With what its worker says of it.
    #[must_use]
    pub fn with_progress(mut self, progress: Option<&queue::Progress>) -> Self {
        self.progress = progress.map(|progress| Progress {
            step: progress.step.clone(),
            mailbox: progress.mailbox.clone(),
            saved: progress.saved,
            expunged: progress.expunged,
        });
        self
    }
}

impl From<&store::Record> for Record {
    fn from(record: &store::Record) -> Self {
        Self {
            id: record.id.0,
            source_uid: record.source_uid.clone(),
            created: time(record.created),
            status: record.status.as_str(),
            phase: record.phase.as_str(),
            priority: record.priority,
            not_before: record.not_before.map(time),
            started: record.started.map(time),
            stopped: record.stopped.map(time),
            attempt: Some(record.attempt).filter(|attempt| *attempt > 0),
            details: record.details.clone(),
            backend: record.backend.clone(),
            modified: time(record.modified),
            target_message_count: record.target_message_count,
            target_mailbox_size: record.target_mailbox_size,
            source_message_count: record.source_message_count,
            source_mailbox_size: record.source_mailbox_size,
            expunged_message_count: record.expunged_message_count,
            sync_message_count: record.sync_message_count,
            sync_speed: record.sync_speed,
            verification: record.verification.clone(),
            progress: None,
        }
    }
}
