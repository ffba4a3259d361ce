//! `dmf-scheduler crypto rotate`: seals all users' passwords again with the first key, while everything runs.

use std::fmt;

use dmf_shared::{
    crypto::KeyRing,
    domain::ids::UserId,
    store::{self, SealedUser, Source, Store},
};

/// Users of one transaction.
const BATCH: u32 = 100;
/// Users between two words on the progress.
const PROGRESS_EVERY: u64 = 10_000;
/// How often all users are gone through: those whose password was changed under our hands need another time.
const PASSES: u32 = 5;
/// Most users that are named because their password does not open.
const NAMED: u64 = 1_000;

/// Why nothing more could be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing to seal with.
    #[error("no key is configured (dmf.crypto.storage-key, dmf.crypto.storage-keys)")]
    NoKey,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Passwords that the first key seals now.
    pub resealed: u64,
    /// Passwords that none of the keys opens; they stay as they are.
    pub unopened: u64,
    /// Passwords that were changed each time before they could be sealed again.
    pub missed: u64,
}

impl Outcome {
    /// Whether every password is sealed with the first key.
    pub const fn is_complete(&self) -> bool {
        self.unopened == 0 && self.missed == 0
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passwords sealed again", self.resealed)?;
        if self.unopened > 0 {
            write!(f, ", {} could not be opened with any configured key", self.unopened)?;
        }
        if self.missed > 0 {
            write!(f, ", {} were changed meanwhile (run it again)", self.missed)?;
        }
        Ok(())
    }
}

/// Seals every password with the first key of `keys`; `tell` hears the progress, and which users' passwords
/// do not open. It may be run again, and by several at the same time.
pub async fn rotate(store: &Store, keys: &KeyRing, mut tell: impl FnMut(String)) -> Result<Outcome, Error> {
    let alias = keys.active().ok_or(Error::NoKey)?;
    let mut outcome = Outcome::default();
    for source in store.sources().await? {
        let mut rotation = Rotation { store, keys, alias, source: &source, outcome: Outcome::default() };
        match rotation.run(&mut tell).await {
            Ok(()) => {}
            // It was deleted while we were at it.
            Err(error) if error.is_schema_missing() => tell(format!("{}: is gone", source.name)),
            Err(error) => return Err(error.into()),
        }
        let done = rotation.outcome;
        tell(format!("{}: {done}", source.name));
        outcome.resealed += done.resealed;
        outcome.unopened += done.unopened;
        outcome.missed += done.missed;
    }
    Ok(outcome)
}

struct Rotation<'r> {
    store: &'r Store,
    keys: &'r KeyRing,
    alias: &'r str,
    source: &'r Source,
    outcome: Outcome,
}

impl Rotation<'_> {
    async fn run(&mut self, tell: &mut impl FnMut(String)) -> store::Result<()> {
        for pass in 1..=PASSES {
            (self.outcome.unopened, self.outcome.missed) = (0, 0);
            self.pass(pass == 1, tell).await?;
            if self.outcome.missed == 0 {
                break;
            }
        }
        Ok(())
    }

    async fn pass(&mut self, is_first: bool, tell: &mut impl FnMut(String)) -> store::Result<()> {
        let (mut after, mut told_at) = (UserId(0), 0);
        loop {
            let users = self.store.users_sealed_otherwise(self.source, self.alias, after, BATCH).await?;
            let Some(last) = users.last() else { return Ok(()) };
            after = last.id;
            self.reseal(users, is_first, tell).await?;
            if self.outcome.resealed >= told_at + PROGRESS_EVERY {
                told_at = self.outcome.resealed;
                tell(format!("{}: {} passwords so far", self.source.name, self.outcome.resealed));
            }
        }
    }

    async fn reseal(
        &mut self,
        users: Vec<SealedUser>,
        is_first: bool,
        tell: &mut impl FnMut(String),
    ) -> store::Result<()> {
        let mut seals = Vec::with_capacity(users.len());
        for user in users {
            let (source, uid) = (self.source.id, &user.source_uid);
            let opened = self.keys.open(&user.password, source, uid);
            match opened.and_then(|password| self.keys.seal(&password, source, uid)) {
                Ok(sealed) => seals.push((user, sealed)),
                Err(error) => {
                    self.outcome.unopened += 1;
                    if is_first && self.outcome.unopened <= NAMED {
                        tell(format!("{}/{uid:?}: {error}", self.source.name));
                    }
                }
            }
        }
        let resealed = self.store.reseal(self.source, &seals).await?;
        self.outcome.resealed += resealed as u64;
        self.outcome.missed += (seals.len() - resealed) as u64;
        Ok(())
    }
}
