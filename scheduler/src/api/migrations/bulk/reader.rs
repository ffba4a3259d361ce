//! Reads a bulk's input ahead: the next batch while the one before is submitted, and no more.

use axum::body::Body;
use dmf_shared::store::Source;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::{
    DEADLINE, FLUSH_AFTER, SILENCE,
    batch::{Batch, Entry},
    format::{Format, Read},
    input::{Input, Next},
    lines::Line,
};
use crate::{
    api::{error::ApiError, fields::Fields, migrations::submit, users::given::Places, v1::Reading},
    app::App,
};

/// What comes of reading: a batch, an empty one at the end, or why nothing more can be read.
pub(super) type Got = Result<Batch, String>;

/// The batches of an input, in order. Dropped, it reads no more.
pub(super) struct Batches {
    got: mpsc::Receiver<Got>,
    /// Since when a batch is waited for.
    asked: watch::Sender<Option<Instant>>,
    _reader: AbortOnDropHandle<()>,
}

impl Batches {
    /// Begins to read.
    pub(super) fn read(app: App, source: Source, body: Body, format: Format, reading: Reading) -> Self {
        let input = Input::new(body, format.is_csv());
        let (asked, waited_for) = watch::channel(None);
        let reader = Reader { app, source, input, format, held: None, reading, waited_for };
        let (sender, got) = mpsc::channel(1);
        let read = reader.run(sender).in_current_span();
        #[allow(clippy::disallowed_methods, reason = "it ends with the answer that it reads for")]
        let reader = tokio::spawn(read);
        Self { got, asked, _reader: AbortOnDropHandle::new(reader) }
    }

    /// The next batch. Not asked again after an empty one or an error.
    pub(super) async fn next(&mut self) -> Got {
        self.asked.send_replace(Some(Instant::now()));
        let got = self.got.recv().await;
        self.asked.send_replace(None);
        // The reader ends early only by a panic, which is logged where it happens.
        got.unwrap_or_else(|| Err("the input can't be read".to_owned()))
    }
}

struct Reader {
    app: App,
    source: Source,
    input: Input,
    format: Format,
    /// A line that belongs into the next batch.
    held: Option<Entry>,
    reading: Reading,
    /// Since when its next batch is waited for.
    waited_for: watch::Receiver<Option<Instant>>,
}

impl Reader {
    /// Reads as long as somebody waits for it.
    async fn run(mut self, got: mpsc::Sender<Got>) {
        while let Ok(place) = got.reserve().await {
            let batch = self.next_batch().await;
            let goes_on = batch.as_ref().is_ok_and(|batch| !batch.is_empty());
            place.send(batch);
            if !goes_on {
                return;
            }
        }
    }

    /// As many lines as are there and fit into one transaction.
    async fn next_batch(&mut self) -> Result<Batch, String> {
        let mut batch = Batch::default();
        // For this batch only: a stream may last for hours.
        let mut places = Places::default();
        let mut until = Instant::now() + SILENCE;
        loop {
            if let Some(entry) = self.held.take() {
                if let Err(next) = batch.push(entry) {
                    self.held = Some(*next);
                    return Ok(batch);
                }
                until = Instant::now() + FLUSH_AFTER;
            }
            match self.input.next(until).await {
                Next::Line(line) => self.held = self.read(&mut places, line).await?,
                Next::Late if batch.is_empty() => until = self.until()?,
                Next::Late | Next::End => return Ok(batch),
                Next::Broken => return Err("the input broke off".to_owned()),
            }
        }
    }

    /// Until when a client may go on to say nothing: it has that long from when its next batch is waited for.
    fn until(&self) -> Result<Instant, String> {
        let since = *self.waited_for.borrow();
        let until = since.unwrap_or_else(Instant::now) + SILENCE;
        if until > Instant::now() { Ok(until) } else { Err("no whole line came for too long".to_owned()) }
    }

    /// Reads a line; none for the line that names the columns. Fails when that one is none, or the database
    /// does.
    async fn read(&mut self, places: &mut Places, line: Line) -> Result<Option<Entry>, String> {
        let refused = |bytes: usize, error: String| {
            Ok(Some(Entry { line: line.number, bytes, source_uid: None, submission: Err(vec![error]) }))
        };
        let bytes = match line.bytes {
            Ok(bytes) => bytes,
            Err(uncut) if self.format.awaits_columns() => return Err(uncut.to_string()),
            Err(uncut) => return refused(0, uncut.to_string()),
        };
        let mut object = match self.format.read(&bytes, self.reading.lenient) {
            Read::Columns => return Ok(None),
            Read::Fields(object) => object,
            Read::Refused(error) => return refused(bytes.len(), error),
            Read::Stop(error) => return Err(error),
        };
        self.reading.complete(&mut object);
        let mut fields = Fields::new(object).lenient(self.reading.lenient);
        let source_uid = fields.peek("sourceUid").map(str::to_owned);
        let order = submit::read(&mut fields);
        let read = timeout(DEADLINE, order.look_up(&self.app, &self.source, places, fields)).await;
        let submission = match read.unwrap_or_else(|_| Err(ApiError::unavailable())) {
            Ok(submission) => Ok(submission),
            Err(error) if error.is_client_fault() => Err(error.errors().to_vec()),
            Err(error) => return Err(error.errors().join(", ")),
        };
        Ok(Some(Entry { line: line.number, bytes: bytes.len(), source_uid, submission }))
    }
}
