//! Figures over whole journals, for `/users/migrations/summary`. Reading them takes longer the more records there are,
//! so of each Source one read runs at a time, which all share who asked before it began: a crowd of them takes one
//! connection of the database, and nobody gets figures that are older than the question.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use dmf_shared::{
    domain::ids::{HostId, SourceId},
    store::{Lately, Result, Source, Store, SummaryRow},
};
use tokio::{sync, time::Instant};

/// What was read of a Source.
#[derive(Debug)]
pub struct Figures {
    /// Its journal by source host, state and phase.
    pub rows: Vec<SummaryRow>,
    /// What ended in the hour before.
    pub lately: Lately,
    /// The names of its source hosts.
    pub names: BTreeMap<HostId, String>,
    begun: Instant,
}

impl Figures {
    async fn read(store: &Store, source: &Source) -> Result<Self> {
        let begun = Instant::now();
        let rows = store.summary(source).await?;
        let lately = store.ended_lately(source).await?;
        let names = store.sourcehost_names(source.id).await?.into_iter().collect();
        Ok(Self { rows, lately, names, begun })
    }
}

/// What the last read of a Source has brought; locked while one runs.
type Slot = sync::Mutex<Option<Arc<Figures>>>;

/// Reads figures for all requests of this process.
#[derive(Debug)]
pub struct Summaries {
    store: Store,
    slots: Mutex<HashMap<SourceId, Arc<Slot>>>,
}

impl Summaries {
    /// Reads from this store.
    pub fn new(store: Store) -> Self {
        Self { store, slots: Mutex::default() }
    }

    /// The figures of a Source, read after this was called. Dropped, it leaves its turn to the next one.
    pub async fn of(&self, source: &Source) -> Result<Arc<Figures>> {
        let (slot, asked) = (self.slot(source.id), Instant::now());
        let mut last = slot.lock().await;
        if let Some(figures) = last.as_ref().filter(|figures| figures.begun >= asked) {
            return Ok(Arc::clone(figures));
        }
        let figures = Arc::new(Figures::read(&self.store, source).await?);
        *last = Some(Arc::clone(&figures));
        Ok(figures)
    }

    /// There are few Sources, and what is kept for one is small.
    fn slot(&self, source: SourceId) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(source).or_default())
    }
}
