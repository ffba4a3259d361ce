//! `POST /users/migrations/bulk`: a stream of submits, answered by a stream of results.

mod batch;
mod format;
mod input;
mod lines;
mod quotes;
mod reader;
mod rehearsal;

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use dmf_shared::store::Source;
use futures::stream;
use serde_json::json;
use tokio::time::timeout;
use tracing::{Instrument as _, Span};

use self::{
    batch::{LineResult, Totals},
    format::Format,
    reader::Batches,
    rehearsal::Rehearsal,
};
use super::submit;
use crate::{
    api::{
        audit::{Audited, Note},
        auth::Customer,
        error::{ApiError, Result},
        fields::Fields,
        openapi::{self, Answer, Doc, Tag},
        query::Query,
        v1::Reading,
    },
    app::App,
};

/// Longest time for one transaction, and for one look-up: the stream as a whole has no deadline.
const DEADLINE: Duration = Duration::from_secs(10);
/// A client that sends slowly gets the results of what it has sent so long after its last line.
const FLUSH_AFTER: Duration = Duration::from_millis(500);
/// A client that sends no whole line for so long is given up.
const SILENCE: Duration = Duration::from_mins(1);

/// What the document says of [`bulk`].
pub const BULK: Doc = Doc {
    id: "submitMigrations",
    summary: "Submit many migrations",
    description: "A stream of lines as NDJSON or CSV (whose first line names the fields), each with the fields of a single submit. It is answered by a stream of one line each, in order. A bad line stops no other; with dryRun=true everything is checked and nothing changed: a line is answered as it would be, also where it repeats the user or the targetUid of one of the million lines before, but for the id. The client has to read the results while it sends.",
    tag: Tag::Migration,
    query: Some(|fields| {
        read(fields);
    }),
    body: Some(openapi::Body::Lines(|fields| {
        submit::read(fields);
    })),
    answers: &[Answer::lines::<LineResult>(200, "One line for each line of the input.")],
    refuses: &[],
};

fn read(query: &mut Fields) -> bool {
    query.switch("dryRun")
}

/// Submits line by line, in batches of one transaction each. The answer has one line for each line of the
/// input, in order; it is written as fast as it is read, and while it is not, one batch is read ahead and no more. A bad line
/// stops no other. With `dryRun=true` everything is checked and nothing is changed.
pub async fn bulk(
    State(app): State<App>,
    Customer(source): Customer,
    Audited(audited): Audited,
    reading: Reading,
    headers: HeaderMap,
    Query(mut query): Query,
    body: Body,
) -> Result<Response> {
    let format = Format::of(&headers)?;
    let dry_run = read(&mut query);
    query.finish(|| Some(()))?;
    let bulk = Bulk {
        app: app.clone(),
        source: source.clone(),
        dry_run,
        batches: Batches::read(app, source, body, format, reading),
        rehearsal: Rehearsal::default(),
        totals: Totals::default(),
        stage: Stage::Reading,
        audited,
        span: Span::current(),
    };
    let results = stream::unfold(bulk, move |mut bulk| async move {
        let span = bulk.span.clone();
        let chunk = reading.answer(bulk.next_chunk()).instrument(span).await?;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(chunk)), bulk))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(results)).into_response())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Reading,
    /// Nothing more is answered.
    Stopped,
}

struct Bulk {
    app: App,
    source: Source,
    dry_run: bool,
    batches: Batches,
    /// Empty unless this is a dry run.
    rehearsal: Rehearsal,
    totals: Totals,
    stage: Stage,
    audited: Note,
    /// The request's: the stream lives on when the handler is done.
    span: Span,
}

impl Drop for Bulk {
    fn drop(&mut self) {
        if self.stage != Stage::Stopped {
            let _entered = self.span.enter();
            self.log("the client of a bulk submit is gone");
        }
    }
}

impl Bulk {
    /// The results of the next batch; none at the end.
    async fn next_chunk(&mut self) -> Option<String> {
        if self.stage == Stage::Stopped {
            return None;
        }
        let batch = match self.batches.next().await {
            Ok(batch) if batch.is_empty() => {
                self.report().await;
                return None;
            }
            Ok(batch) => batch,
            Err(error) => return Some(self.stop(&error).await),
        };
        let submissions = batch.submissions(&self.rehearsal);
        let submit = self.app.store.submit_batch(&self.source, &submissions, self.dry_run);
        let error = match timeout(DEADLINE, submit).await {
            Ok(Ok(answers)) => {
                self.app.relay.notify_one();
                let text = batch.answered(answers, &mut self.rehearsal, &mut self.totals);
                // Now, since the client may be gone before the end.
                self.tell().await;
                return Some(text);
            }
            Ok(Err(error)) => ApiError::from(error),
            Err(_) => ApiError::unavailable(),
        };
        let error = error.errors().join(", ");
        let failed = batch.failed(&error);
        Some(failed + &self.stop(&error).await)
    }

    /// The last line of an answer that does not come to its end.
    async fn stop(&mut self, error: &str) -> String {
        self.report().await;
        let stopped = json!({ "error": format!("{error}; what follows was not read, send it again") });
        format!("{stopped}\n")
    }

    async fn report(&mut self) {
        self.stage = Stage::Stopped;
        self.log("bulk submit ended");
        self.tell().await;
    }

    fn log(&self, what: &str) {
        let Totals { created, forced, existing, refused } = self.totals;
        let source = &self.source.name;
        tracing::info!(%source, dry_run = self.dry_run, created, forced, existing, refused, "{what}");
    }

    /// Notes in the audit log what was done so far.
    async fn tell(&mut self) {
        let Totals { created, forced, existing, refused } = self.totals;
        let figures = json!({
            "dryRun": self.dry_run, "created": created, "forced": forced, "existing": existing, "refused": refused,
        });
        if timeout(DEADLINE, self.audited.tell(&self.app, figures)).await.is_err() {
            tracing::warn!("the audit entry of a bulk submit lacks its figures: the database did not answer");
        }
    }
}
