//! The lines that are submitted in one transaction.

use std::collections::HashSet;

use dmf_shared::store::{BulkAccepted, BulkAnswer, Submission, SubmitError};
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use super::{super::submit::refused, rehearsal::Rehearsal};
use crate::api::{answer::is_left_out, kind};

/// Most lines of a batch.
const LINES: usize = 500;
/// Most bytes of its lines.
const BYTES: usize = 1 << 20;

/// A line that was read.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its number.
    pub(super) line: u64,
    /// Its length.
    pub(super) bytes: usize,
    /// Its user, as far as it could be read.
    pub(super) source_uid: Option<String>,
    /// What it submits, or all that is wrong with it.
    pub(super) submission: Result<Submission, Vec<String>>,
}

/// Lines in order, no two of which are about one user or one target uid: the second of them has to find
/// what the first one did.
#[derive(Debug, Default)]
pub(super) struct Batch {
    entries: Vec<Entry>,
    bytes: usize,
    users: HashSet<String>,
    target_uids: HashSet<String>,
    /// Its last line may free a target uid that the next one takes.
    closed: bool,
}

/// What became of the lines of a bulk.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Totals {
    /// Migrations that were created; in a dry run, that would be.
    pub(super) created: u64,
    /// Those of them with `force`.
    pub(super) forced: u64,
    /// Users whose migration is open already.
    pub(super) existing: u64,
    /// Lines that were refused.
    pub(super) refused: u64,
}

impl Batch {
    /// Whether there is nothing in it.
    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes a line, or gives it back when it belongs into the next batch.
    pub(super) fn push(&mut self, entry: Entry) -> Result<(), Box<Entry>> {
        let full = self.closed || self.entries.len() >= LINES || self.bytes + entry.bytes > BYTES;
        if full && !self.entries.is_empty() {
            return Err(Box::new(entry));
        }
        if let Ok(submission) = &entry.submission {
            let fields = &submission.user;
            // On whatever target: a user that is known may leave that out.
            let uid = fields.target_uid.as_ref().map(|uid| uid.to_lowercase());
            if self.users.contains(&submission.source_uid)
                || uid.as_ref().is_some_and(|uid| self.target_uids.contains(uid))
            {
                return Err(Box::new(entry));
            }
            self.users.insert(submission.source_uid.clone());
            self.closed = submission.force && (fields.target.is_some() || fields.target_uid.is_some());
            self.target_uids.extend(uid);
        }
        self.bytes += entry.bytes;
        self.entries.push(entry);
        Ok(())
    }

    /// What is to be submitted, in order: all but what an earlier line of a dry run would have made.
    pub(super) fn submissions(&self, rehearsal: &Rehearsal) -> Vec<Submission> {
        let submissions = self.entries.iter().filter_map(|entry| entry.submission.as_ref().ok());
        submissions.filter(|submission| !rehearsal.has_user(&submission.source_uid)).cloned().collect()
    }

    /// One line of the answer for each, once the store has answered; these are counted.
    pub(super) fn answered(
        self,
        answers: Vec<BulkAnswer>,
        rehearsal: &mut Rehearsal,
        totals: &mut Totals,
    ) -> String {
        let mut answers = answers.into_iter();
        let mut text = String::new();
        for entry in self.entries {
            let (line, uid) = (entry.line, entry.source_uid.as_deref());
            let mut say = |status, id, errors: &[String]| {
                text.push_str(&result(line, uid, status, id, errors, totals));
            };
            let submission = match entry.submission {
                Ok(submission) => submission,
                Err(errors) => {
                    say("REFUSED", None, &errors);
                    continue;
                }
            };
            if rehearsal.has_user(&submission.source_uid) {
                say("EXISTS", None, &[]);
                continue;
            }
            let refusal = match answers.next() {
                Some(Ok(BulkAccepted::Created(id))) => {
                    say("CREATED", Some(id.0), &[]);
                    totals.forced += u64::from(submission.force);
                    continue;
                }
                Some(Ok(BulkAccepted::Valid(place))) if rehearsal.add(&submission.source_uid, &place) => {
                    say("VALID", None, &[]);
                    totals.forced += u64::from(submission.force);
                    continue;
                }
                Some(Err(SubmitError::Open(id))) => {
                    say("EXISTS", Some(id.0), &[]);
                    continue;
                }
                Some(Ok(BulkAccepted::Valid(_))) => SubmitError::TargetUidTaken,
                Some(Err(error)) => error,
                None => continue,
            };
            say("REFUSED", None, refused(refusal).errors());
        }
        text
    }

    /// One line of the answer for each, when the store failed: whether they were submitted is not known.
    pub(super) fn failed(self, error: &str) -> String {
        let lines = self.entries.into_iter().map(|entry| {
            let mut totals = Totals::default();
            let errors = [error.to_owned()];
            result(entry.line, entry.source_uid.as_deref(), "FAILED", None, &errors, &mut totals)
        });
        lines.collect()
    }
}

/// What became of one line of a bulk submit.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LineResult<'l> {
    line: u64,
    #[serde(skip_serializing_if = "is_left_out")]
    source_uid: Option<&'l str>,
    #[schema(schema_with = line_status)]
    status: &'static str,
    #[serde(skip_serializing_if = "is_left_out")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "is_left_out")]
    errors: Option<&'l [String]>,
}

fn line_status() -> RefOr<Schema> {
    kind::one_of(&["CREATED", "VALID", "EXISTS", "REFUSED", "FAILED"], false)
}

fn result(
    line: u64,
    source_uid: Option<&str>,
    status: &'static str,
    id: Option<u64>,
    errors: &[String],
    totals: &mut Totals,
) -> String {
    match status {
        "CREATED" | "VALID" => totals.created += 1,
        "EXISTS" => totals.existing += 1,
        _ => totals.refused += 1,
    }
    let result =
        LineResult { line, source_uid, status, id, errors: Some(errors).filter(|errors| !errors.is_empty()) };
    let text = serde_json::to_string(&result).unwrap_or_default();
    format!("{text}\n")
}
