//! Many submissions in one transaction of multi-row statements, each with the answer that it would get alone.

use std::collections::{HashMap, HashSet};

use sqlx::MySqlConnection;

use super::{
    Error, Result, Source, Store, Submission, SubmitError,
    bulk_rows::write_accepted,
    places::hold_places,
    spelled::Statement,
    submit::{CUT_OVER, MOVED_MAIL},
    tables::Tables,
    users,
};
use crate::domain::{
    ids::{JournalId, UserId},
    user::User,
};

/// The answer to one submission of a batch.
pub type BulkAnswer = Result<BulkAccepted, SubmitError>;

/// What became of a submission that is not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BulkAccepted {
    /// Its migration.
    Created(JournalId),
    /// In a dry run: it would be created, and its user would have this place.
    Valid(Place),
}

/// The mailbox of a user on a target, which no two users share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    target: u32,
    /// The target uid without case.
    folded: String,
}

impl Place {
    fn of(user: &User) -> Self {
        Self { target: user.target.0, folded: user.target_uid.to_lowercase() }
    }
}

/// A submission that is not refused so far.
pub(super) struct Accepted<'s> {
    pub(super) index: usize,
    pub(super) submission: &'s Submission,
    pub(super) user: User,
    /// Whether it takes a target uid that it did not have.
    pub(super) takes_uid: bool,
    /// Whether it comes to a source host or a target where it was not.
    takes_place: bool,
    /// Whether it was there before.
    pub(super) is_known: bool,
}

/// How long a batch waits for a row that somebody has locked.
#[derive(Debug, Clone, Copy)]
pub(super) struct LockWait {
    /// The end of a statement that reads and locks.
    pub(super) reading: &'static str,
    /// The beginning of one that writes.
    pub(super) writing: &'static str,
}

impl LockWait {
    /// As long as the session does.
    pub(super) const PATIENT: Self = Self { reading: "", writing: "" };
    /// A second. The server has to end the wait itself: it would not notice that nobody waits for its answer any
    /// more, and hold until then what was locked before.
    pub(super) const SHORT: Self =
        Self { reading: " WAIT 1", writing: "SET STATEMENT innodb_lock_wait_timeout = 1 FOR " };
}

/// How it is found out that a target uid is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TargetUids {
    /// They are looked for before anything is written.
    Looked,
    /// They are written: the database refuses all of the batch when one is taken.
    Tried,
}

/// What the journal says of the users of a batch.
struct Past {
    open: HashMap<u64, u64>,
    cutover: HashMap<u64, u64>,
    synced: HashSet<u64>,
}

impl Store {
    /// Submits all of `batch`, or nothing when this fails. No two of it may have the same source uid, or
    /// the same target uid, without case. A dry run answers the same and changes nothing.
    pub async fn submit_batch(
        &self,
        source: &Source,
        batch: &[Submission],
        dry_run: bool,
    ) -> Result<Vec<BulkAnswer>> {
        super::timed("submit-batch", |_| true, self.submit_batch_contended(source, batch, dry_run)).await
    }

    async fn submit_batch_contended(
        &self,
        source: &Source,
        batch: &[Submission],
        dry_run: bool,
    ) -> Result<Vec<BulkAnswer>> {
        let mut tried = 1;
        let mut uids = if dry_run { TargetUids::Looked } else { TargetUids::Tried };
        loop {
            match self.submit_batch_once(source, batch, dry_run, uids).await {
                // One of the target uids may be taken: seldom, so they are looked for only now.
                Err(Error::Conflict { .. }) if uids == TargetUids::Tried => uids = TargetUids::Looked,
                // A deadlock, or a twin that created the same user or row at the same moment: look again.
                Err(Error::Contended(_) | Error::Conflict { .. }) if tried < super::CONTENTION_ATTEMPTS => {
                    super::pause_contended(tried).await;
                    tried += 1;
                }
                done => return done,
            }
        }
    }

    async fn submit_batch_once(
        &self,
        source: &Source,
        batch: &[Submission],
        dry_run: bool,
        uids: TargetUids,
    ) -> Result<Vec<BulkAnswer>> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let tables = Tables::of(&source.name);
        let mut tx = self.begin().await?;
        let Sorted { refused, mut accepted } =
            sort(&mut tx, &tables, source, batch, LockWait::PATIENT, uids).await?;
        let refused = refused.into_iter().map(|(index, error)| (index, Err(error)));
        if dry_run || accepted.is_empty() {
            tx.rollback().await?;
            let valid = accepted.iter().map(|one| (one.index, Ok(BulkAccepted::Valid(Place::of(&one.user)))));
            return Ok(in_order(refused.chain(valid)));
        }
        let written = write_accepted(&mut tx, &tables, source, &mut accepted, LockWait::PATIENT).await;
        let rows: Vec<(u64, u64)> = match written {
            Ok(rows) => rows,
            Err(error) => {
                if matches!(error, Error::Conflict { .. }) {
                    tx.rollback().await?;
                }
                return Err(error);
            }
        };
        tx.commit().await?;
        let created = accepted.iter().zip(rows);
        let created = created.map(|(one, (id, _))| (one.index, Ok(BulkAccepted::Created(JournalId(id)))));
        Ok(in_order(refused.chain(created)))
    }
}

/// A batch, sorted; nothing is written yet.
pub(super) struct Sorted<'s> {
    pub(super) refused: Vec<(usize, SubmitError)>,
    pub(super) accepted: Vec<Accepted<'s>>,
}

/// Says which of `batch` are refused, and why; locks what the others need.
pub(super) async fn sort<'s>(
    connection: &mut MySqlConnection,
    tables: &Tables,
    source: &Source,
    batch: &'s [Submission],
    wait: LockWait,
    uids: TargetUids,
) -> Result<Sorted<'s>> {
    let mut known = lock_users(connection, tables, batch, wait).await?;
    let past = read_past(connection, tables, known.values()).await?;
    let mut refused = Vec::new();
    let mut accepted = Vec::new();
    for (index, submission) in batch.iter().enumerate() {
        match accept(index, submission, known.remove(&submission.source_uid), &past) {
            Ok(one) => accepted.push(one),
            Err(error) => refused.push((index, error)),
        }
    }
    // Who moves lets go of a target uid, which nobody of this batch may take.
    let moves = accepted.iter().any(|one| one.takes_uid && one.is_known);
    if uids == TargetUids::Looked || moves {
        let taken = refuse_taken(connection, source, &mut accepted, wait).await?;
        refused.extend(taken.into_iter().map(|index| (index, SubmitError::TargetUidTaken)));
    }
    let gone = refuse_gone(connection, source, &mut accepted, wait).await?;
    refused.extend(gone.into_iter().map(|(index, field)| (index, SubmitError::Gone(field))));
    Ok(Sorted { refused, accepted })
}

/// The answers, each with its place in the batch, in that order.
pub(super) fn in_order<A>(answers: impl Iterator<Item = (usize, A)>) -> Vec<A> {
    let mut answers: Vec<_> = answers.collect();
    answers.sort_unstable_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

fn accept<'s>(
    index: usize,
    submission: &'s Submission,
    known: Option<User>,
    past: &Past,
) -> Result<Accepted<'s>, SubmitError> {
    let is_known = known.is_some();
    let takes_uid = known.as_ref().is_none_or(|user| submission.user.moves(user));
    let host_before = known.as_ref().map(|user| user.sourcehost);
    if let Some(UserId(id)) = known.as_ref().map(|user| user.id) {
        if let Some(open) = past.open.get(&id) {
            return Err(SubmitError::Open(JournalId(*open)));
        }
        if !submission.force {
            if let Some(cutover) = past.cutover.get(&id) {
                return Err(SubmitError::CutOver(JournalId(*cutover)));
            }
            if takes_uid && past.synced.contains(&id) {
                return Err(SubmitError::TargetChanged);
            }
        }
    }
    let user = submission.user.merge(known, &submission.source_uid).map_err(SubmitError::Missing)?;
    let takes_place = takes_uid || host_before != Some(user.sourcehost);
    Ok(Accepted { index, submission, user, takes_uid, takes_place, is_known })
}

async fn lock_users(
    connection: &mut MySqlConnection,
    tables: &Tables,
    batch: &[Submission],
    wait: LockWait,
) -> Result<HashMap<String, User>> {
    let statement =
        format!("SELECT {} {}", users::COLUMNS, tables.text("FROM {users} u WHERE u.source_uid IN "));
    let users: Vec<User> = Statement::new(statement)
        .list(batch.iter().map(|submission| &submission.source_uid))
        .sql(" ORDER BY u.id FOR UPDATE")
        .sql(wait.reading)
        .fetch_all(connection)
        .await?;
    Ok(users.into_iter().map(|user| (user.source_uid.clone(), user)).collect())
}

async fn read_past<'u>(
    connection: &mut MySqlConnection,
    tables: &Tables,
    users: impl ExactSizeIterator<Item = &'u User>,
) -> Result<Past> {
    let ids: Vec<u64> = users.map(|user| user.id.0).collect();
    let mut past = Past { open: HashMap::new(), cutover: HashMap::new(), synced: HashSet::new() };
    if ids.is_empty() {
        return Ok(past);
    }
    let open = tables.text("SELECT open_user, id FROM {journal} WHERE open_user IN ");
    past.open.extend(Statement::new(open).list(&ids).fetch_all::<(u64, u64)>(&mut *connection).await?);
    let ended = format!(
        "SELECT user_id, id, COALESCE({MOVED_MAIL}, FALSE), {CUT_OVER} {} ({MOVED_MAIL} OR {CUT_OVER}) AND user_id IN ",
        tables.text("FROM {journal} WHERE")
    );
    let ended: Vec<(u64, u64, bool, bool)> = Statement::new(ended).list(&ids).fetch_all(connection).await?;
    for (user, id, synced, cut_over) in ended {
        if synced {
            past.synced.insert(user);
        }
        if cut_over {
            let latest = past.cutover.entry(user).or_default();
            *latest = id.max(*latest);
        }
    }
    Ok(past)
}

/// Takes those out whose target uid another user has; gives their places in the batch.
async fn refuse_taken(
    connection: &mut MySqlConnection,
    source: &Source,
    accepted: &mut Vec<Accepted<'_>>,
    wait: LockWait,
) -> Result<Vec<usize>> {
    let takers = accepted.iter().filter(|one| one.takes_uid);
    let wanted: Vec<(u32, String)> =
        takers.map(|one| (one.user.target.0, one.user.target_uid.to_lowercase())).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let statement =
        "SELECT target_id, folded, source_id, user_id FROM target_uids WHERE (target_id, folded) IN (";
    let taken: Vec<(u32, String, u32, u64)> = Statement::new(statement)
        .rows(&wanted, |row, (target, folded)| {
            row.value(target).value(folded);
        })
        .sql(") FOR UPDATE")
        .sql(wait.reading)
        .fetch_all(connection)
        .await?;
    let owners: HashMap<_, _> =
        taken.into_iter().map(|(target, folded, source, user)| ((target, folded), (source, user))).collect();
    let mut refused = Vec::new();
    accepted.retain(|one| {
        let key = (one.user.target.0, one.user.target_uid.to_lowercase());
        let foreign = owners.get(&key).is_some_and(|owner| *owner != (source.id.0, one.user.id.0));
        if one.takes_uid && foreign {
            refused.push(one.index);
        }
        !(one.takes_uid && foreign)
    });
    Ok(refused)
}

/// Takes those out whose target or source host is gone; gives their places in the batch.
async fn refuse_gone(
    connection: &mut MySqlConnection,
    source: &Source,
    accepted: &mut Vec<Accepted<'_>>,
    wait: LockWait,
) -> Result<Vec<(usize, &'static str)>> {
    let movers = || accepted.iter().filter(|one| one.takes_place);
    let users: Vec<&User> = movers().map(|one| &one.user).collect();
    let indices: Vec<usize> = movers().map(|one| one.index).collect();
    let gone = hold_places(connection, source.id, &users, wait).await?;
    let gone: Vec<_> = gone.into_iter().map(|(place, field)| (indices[place], field)).collect();
    accepted.retain(|one| !gone.iter().any(|(index, _)| *index == one.index));
    Ok(gone)
}
