//! Submitting a migration: user, target uid, journal row and outbox row in one transaction.

use sqlx::FromRow as _;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

use super::{
    Error, Noted, Record, Result, Source, Store, UserFields, audit,
    bulk::LockWait,
    bulk_rows::{insert_rows, insert_target_uids, insert_users},
    journal::RETURNING,
    places::hold_places,
    spelled::{Statement, Variable},
    tables::Tables,
    users,
};
use crate::domain::{ids::JournalId, migration::Phase, trace::TraceParent, user::User};

/// A migration to submit.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Mail identifier on the Source.
    pub source_uid: String,
    /// What is said of the user.
    pub user: UserFields,
    /// What it is for.
    pub phase: Phase,
    /// Whether it goes first.
    pub priority: bool,
    /// It does not start before this time.
    pub not_before: Option<OffsetDateTime>,
    /// Run again although a CUTOVER of this user succeeded.
    pub force: bool,
    /// The trace that it belongs to.
    pub trace: Option<TraceParent>,
    /// Its entry in the audit log.
    pub noted: Option<Noted>,
}

/// What became of a submission.
#[derive(Debug)]
pub struct Submitted {
    /// The new record.
    pub record: Record,
}

/// Why a submission was refused; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The user is new and these fields are needed for that.
    #[error("fields of a new user are missing")]
    Missing(Vec<&'static str>),
    /// The user has an open migration.
    #[error("migration {0} of this user is open")]
    Open(JournalId),
    /// The target uid belongs to another user.
    #[error("the target uid is taken on this target")]
    TargetUidTaken,
    /// The target uid or the target of a user that was synced already would change.
    #[error("the user has been synced to another target uid or target")]
    TargetChanged,
    /// The target or the source host (this is the field) was deleted since it was looked up.
    #[error("the {0} of this user is gone")]
    Gone(&'static str),
    /// A CUTOVER of this user succeeded.
    #[error("cutover {0} of this user succeeded")]
    CutOver(JournalId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<sqlx::Error> for SubmitError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Submits a migration. The user is created when it is new, and its given fields are updated
    /// otherwise. The queue hears of it through the outbox, after the commit.
    pub async fn submit(&self, source: &Source, submission: &Submission) -> Result<Submitted, SubmitError> {
        let is_fault = |error: &SubmitError| matches!(error, SubmitError::Store(_));
        super::timed("submit", is_fault, self.submit_contended(source, submission)).await
    }

    async fn submit_contended(
        &self,
        source: &Source,
        submission: &Submission,
    ) -> Result<Submitted, SubmitError> {
        let mut tried = 1;
        loop {
            match self.submit_once(source, submission).await {
                // A deadlock, or a twin that created the same user or row at the same moment: look again.
                Err(SubmitError::Store(Error::Contended(_) | Error::Conflict { .. }))
                    if tried < super::CONTENTION_ATTEMPTS =>
                {
                    super::pause_contended(tried).await;
                    tried += 1;
                }
                done => return done,
            }
        }
    }

    async fn submit_once(&self, source: &Source, submission: &Submission) -> Result<Submitted, SubmitError> {
        let tables = Tables::of(&source.name);
        let lock = users::lock(&tables, &submission.source_uid);
        let (mut tx, [_, known]) = self.begin_with(&lock).await?;
        let known = known.read::<User>()?.pop();
        if let Some(user) = &known
            && let Err(refusal) = refuse_known(&mut tx, &tables, user, submission).await
        {
            // Usual where users are submitted again.
            tx.rollback().await?;
            return Err(refusal);
        }
        let before = known.as_ref().map(|user| (user.target, user.target_uid.clone()));
        let host_before = known.as_ref().map(|user| user.sourcehost);
        let user = match submission.user.merge(known, &submission.source_uid) {
            Ok(user) => user,
            Err(fields) => {
                tx.rollback().await?;
                return Err(SubmitError::Missing(fields));
            }
        };
        // A user that is there already holds its places.
        if host_before != Some(user.sourcehost)
            || before.as_ref().is_none_or(|before| before.0 != user.target)
        {
            let gone = hold_places(&mut tx, source.id, &[&user], LockWait::PATIENT).await?;
            if let Some((_, field)) = gone.first() {
                tx.rollback().await?;
                return Err(SubmitError::Gone(field));
            }
        }
        let write = match before {
            None => write_new(&tables, source, &user),
            Some((target, uid)) => {
                users::write_user(&mut tx, &tables, &user).await?;
                if target != user.target || uid != user.target_uid {
                    users::take_target_uid(&mut tx, source.id, &user, true).await.map_err(taken)?;
                }
                Statement::new("SET @user = ").value(user.id.0)
            }
        };
        let write = write.then(&write_row(&tables, source, &user, submission));
        // What is wrong with this row from here on is told although it is submitted: it was inserted just now.
        let written = tx.commit_with(write).await.map_err(|error| taken(error.into()))?;
        let record =
            written.first().ok_or(Error::RowsAffected { table: "journal", expected: 1, actual: 0 })?;
        let record = Record::from_row(record)?;
        Ok(Submitted { record: Record { source_uid: user.source_uid, ..record } })
    }
}

/// Another user has the target uid.
fn taken(error: Error) -> SubmitError {
    // Of all keys that a submit inserts, it is the one that is called so and is given.
    if error.is_conflict_on("PRIMARY") { SubmitError::TargetUidTaken } else { error.into() }
}

/// The id of the user, once it is known.
const USER: Variable = Variable("@user");

/// Inserts a new user, sets [`USER`], and takes its target uid.
fn write_new(tables: &Tables, source: &Source, user: &User) -> Statement {
    insert_users(tables, &[user])
        .then(&Statement::new("SET @user = LAST_INSERT_ID()"))
        .then(&insert_target_uids(source.id, [(user, USER)]))
}

/// Inserts the row of the journal, which it gives, its note for the queue, and the entry of the audit log.
fn write_row(tables: &Tables, source: &Source, user: &User, submission: &Submission) -> Statement {
    let row = insert_rows(tables, [(user, USER, submission)]).sql(RETURNING).then(
        &Statement::new("INSERT INTO outbox (kind, source_id, ref_id) VALUES ('MIGRATION', ")
            .value(source.id.0)
            .sql(", LAST_INSERT_ID())"),
    );
    match &submission.noted {
        Some(noted) => row.then(&audit::note_all([noted])),
        None => row,
    }
}

async fn refuse_known(
    tx: &mut sqlx::MySqlConnection,
    tables: &Tables,
    user: &User,
    submission: &Submission,
) -> Result<(), SubmitError> {
    let open: Option<u64> = sqlx::query_scalar(tables.sql("SELECT id FROM {journal} WHERE open_user = ?"))
        .bind(user.id.0)
        .fetch_optional(&mut *tx)
        .await?;
    if let Some(id) = open {
        return Err(SubmitError::Open(JournalId(id)));
    }
    if submission.force {
        return Ok(());
    }
    let statement = tables.text("SELECT id FROM {journal} WHERE user_id = ? AND ");
    let statement = format!("{statement}{CUT_OVER} ORDER BY id DESC LIMIT 1");
    let cutover: Option<u64> =
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).bind(user.id.0).fetch_optional(&mut *tx).await?;
    if let Some(id) = cutover {
        return Err(SubmitError::CutOver(JournalId(id)));
    }
    if submission.user.moves(user) && was_synced(tx, tables, user).await? {
        return Err(SubmitError::TargetChanged);
    }
    Ok(())
}

/// Rows of migrations that may have brought mail to the target: also those that failed, and those of which
/// nobody knows what they brought.
pub(super) const MOVED_MAIL: &str =
    "(status = 'SUCCESS' OR sync_message_count > 0 OR (attempt > 0 AND sync_message_count IS NULL))";

/// Rows of cutovers after which another sync would throw away mail: once the post command has started, the route
/// may have been flipped.
pub(super) const CUT_OVER: &str = "(phase = 'CUTOVER' AND (status = 'SUCCESS' OR post_started))";

/// Whether mail of this user may have reached its target.
pub(super) async fn was_synced(
    connection: &mut sqlx::MySqlConnection,
    tables: &Tables,
    user: &User,
) -> Result<bool> {
    let statement = tables.text("SELECT id FROM {journal} WHERE user_id = ? AND ") + MOVED_MAIL + " LIMIT 1";
    let synced: Option<u64> =
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).bind(user.id.0).fetch_optional(connection).await?;
    Ok(synced.is_some())
}

/// As the database keeps it, in UTC. Bound as it is, a time would go as a TIMESTAMP, which ends in 2038.
pub(super) fn database_time(time: OffsetDateTime) -> PrimitiveDateTime {
    let time = time.to_offset(UtcOffset::UTC);
    PrimitiveDateTime::new(time.date(), time.time())
}
