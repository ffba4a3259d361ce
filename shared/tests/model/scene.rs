//! What a model is made of: who migrates from where, what may happen, and which clause is taken away.

use std::{collections::HashSet, sync::Mutex};

use super::state::{HOSTS, MIGRATIONS};

/// Ticks from the sending of a confirmed request to the death of the children.
pub const DEADLINE: u8 = 2;
/// Ticks of silence after which a lease is reaped: more than [`DEADLINE`].
pub const SILENCE: u8 = 3;

/// A clause of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clause {
    /// A finish names epoch and status.
    FinishGuard,
    /// Children run under a guard process that holds their deadline.
    GuardProcess,
    /// The reaper looks at both stores.
    SecondWitness,
    /// A requested cancel stands in the row and outlives the lease.
    CancelFlag,
    /// Whoever looks at a host again puts it back into its ring.
    RingRecompute,
    /// A second live worker of one name does not start.
    RefusalOfTwins,
}

/// A model: the scene, and a protocol without a clause, or whole.
pub struct Scene {
    /// User and source host of each migration, in the order of their submission.
    pub migrations: &'static [(u8, u8)],
    pub limits: [u8; HOSTS],
    pub faults: u8,
    pub orders: u8,
    pub without: Option<Clause>,
    /// Fingerprints of states from which everything is known to come to an end.
    pub settling: Mutex<HashSet<u64>>,
}

impl Scene {
    pub fn new(migrations: &'static [(u8, u8)], faults: u8, orders: u8) -> Self {
        assert!(migrations.len() <= MIGRATIONS);
        Self { migrations, limits: [1; HOSTS], faults, orders, without: None, settling: Mutex::default() }
    }

    pub fn without(self, clause: Clause) -> Self {
        Self { without: Some(clause), ..self }
    }

    pub fn has(&self, clause: Clause) -> bool {
        self.without != Some(clause)
    }

    pub fn user(&self, migration: usize) -> u8 {
        self.migrations[migration].0
    }

    pub fn host(&self, migration: usize) -> usize {
        self.migrations[migration].1 as usize
    }

    pub fn ids(&self) -> std::ops::Range<usize> {
        0..self.migrations.len()
    }
}
