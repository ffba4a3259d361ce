//! Throws away what has become old, where the settings want that. One scheduler at a time does it, page by page
//! with pauses between, so that nobody waits for it.

use std::time::Duration;

use dmf_shared::{
    config::{Reader, age},
    domain::ids::JournalId,
    queue::{self, Queue},
    store::{self, Keep, Source, Store},
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::duty::{TookTooLong, in_time};

/// Time between two looks at who has the lead.
const TICK: Duration = Duration::from_mins(1);
/// Time between two rounds over everything.
const ROUND: Duration = Duration::from_hours(1);
/// How long the lead lasts without a page.
const LEAD: Duration = Duration::from_mins(3);
/// Time between two pages.
const PAUSE: Duration = Duration::from_millis(100);

/// `dmf.retention`: for how long what is kept; none is for ever.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// Records and their details.
    pub keep: Keep,
    /// Entries of the audit.
    pub audit: Option<Duration>,
}

impl Settings {
    /// Reads `dmf.retention.{journal,details,audit}`.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        // The workers' own.
        reader.accept("dmf.retention.command-log");
        let mut age_of = |name: &str| age::read(reader, &format!("dmf.retention.{name}"));
        Self { keep: Keep { journal: age_of("journal"), details: age_of("details") }, audit: age_of("audit") }
    }

    const fn keeps_all(&self) -> bool {
        self.keep.journal.is_none() && self.keep.details.is_none() && self.audit.is_none()
    }
}

/// Why a round ended early; the next one does the rest.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// MariaDB failed.
    #[error("the database can't be swept")]
    Store(#[from] store::Error),
    /// Redis, which says who has the lead, failed.
    #[error("nobody knows who has the lead")]
    Queue(#[from] queue::Error),
    /// One of them did not answer.
    #[error(transparent)]
    Late(#[from] TookTooLong),
}

/// What a round threw away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Records.
    pub records: u64,
    /// Records that have lost their details.
    pub details: u64,
    /// Entries of the audit.
    pub audit: u64,
}

/// What sweeps.
#[derive(Debug)]
pub struct Sweeper {
    store: Store,
    queue: Queue,
    settings: Settings,
    token: String,
}

/// Sweeps until `stop`; not at all where everything is kept.
pub async fn run(store: Store, queue: Queue, settings: Settings, stop: CancellationToken) {
    if settings.keeps_all() {
        return;
    }
    let sweeper = Sweeper::new(store, queue, settings);
    let mut last: Option<Instant> = None;
    while stop.run_until_cancelled(sleep(TICK)).await.is_some() {
        if last.is_some_and(|last| last.elapsed() < ROUND) {
            continue;
        }
        match stop.run_until_cancelled(Box::pin(sweeper.sweep())).await {
            None => return,
            Some(Ok(None)) => {}
            Some(Ok(Some(swept))) => {
                last = Some(Instant::now());
                if swept != Swept::default() {
                    tracing::info!(
                        records = swept.records,
                        details = swept.details,
                        audit = swept.audit,
                        "what had become old was thrown away"
                    );
                }
            }
            Some(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "not all was swept");
            }
        }
    }
}

impl Sweeper {
    /// One that has not swept yet.
    pub fn new(store: Store, queue: Queue, settings: Settings) -> Self {
        Self { store, queue, settings, token: Uuid::new_v4().to_string() }
    }

    /// Goes once over everything; `None` if another scheduler has the lead.
    pub async fn sweep(&self) -> Result<Option<Swept>, Error> {
        let mut swept = Swept::default();
        if !self.leads().await? {
            return Ok(None);
        }
        let sources = in_time::<_, Error>(async { Ok(self.store.sources().await?) }).await?;
        for source in &sources {
            match self.sweep_source(source, &mut swept).await {
                Err(Error::Store(error)) if error.is_schema_missing() => {}
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        if let Some(age) = self.settings.audit {
            loop {
                let gone = in_time::<_, Error>(async { Ok(self.store.sweep_audit(age).await?) }).await?;
                swept.audit += gone;
                count("audit", gone);
                if gone < u64::from(store::SWEPT_AT_ONCE) {
                    break;
                }
                if !self.go_on().await? {
                    return Ok(None);
                }
            }
        }
        Ok(Some(swept))
    }

    /// `false`: another scheduler took the lead meanwhile.
    async fn sweep_source(&self, source: &Source, swept: &mut Swept) -> Result<bool, Error> {
        let keep = self.settings.keep;
        if keep.journal.is_none() && keep.details.is_none() {
            return Ok(true);
        }
        let mut after = JournalId(0);
        loop {
            let page =
                in_time::<_, Error>(async { Ok(self.store.sweep_journal(source, after, keep).await?) });
            let page = page.await?;
            swept.records += page.records;
            swept.details += page.details;
            count("records", page.records);
            count("details", page.details);
            let Some(next) = page.next else { return Ok(true) };
            after = next;
            if !self.go_on().await? {
                return Ok(false);
            }
        }
    }

    async fn go_on(&self) -> Result<bool, Error> {
        sleep(PAUSE).await;
        self.leads().await
    }

    async fn leads(&self) -> Result<bool, Error> {
        in_time(async { Ok(self.queue.take_lead("retention", &self.token, LEAD).await?) }).await
    }
}

fn count(kind: &'static str, gone: u64) {
    metrics::counter!("dmf.retention.swept", "kind" => kind).increment(gone);
}
