//! Creating, changing and deleting users without a migration.

use sqlx::MySqlConnection;

use super::{
    Error, Result, Source, Store, UserFields,
    bulk::LockWait,
    places::hold_places,
    submit::was_synced,
    tables::Tables,
    users::{lock_user, take_target_uid, write_user},
};
use crate::domain::{
    ids::{JournalId, UserId},
    user::User,
};

/// Why a change of a user was refused; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// These fields are needed for a new user.
    #[error("fields of a new user are missing")]
    Missing(Vec<&'static str>),
    /// There is a user of this uid.
    #[error("the user exists")]
    Exists,
    /// There is no user of this uid.
    #[error("there is no such user")]
    NotFound,
    /// The user has an open migration.
    #[error("migration {0} of this user is open")]
    Open(JournalId),
    /// A migration of the user is closed, but its child may still live.
    #[error("migration {0} of this user is being killed")]
    Leased(JournalId),
    /// The target uid belongs to another user.
    #[error("the target uid is taken on this target")]
    TargetUidTaken,
    /// The target uid or the target of a user that was synced already would change.
    #[error("the user has been synced to another target uid or target")]
    TargetChanged,
    /// The target or the source host (this is the field) was deleted since it was looked up.
    #[error("the {0} of this user is gone")]
    Gone(&'static str),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<sqlx::Error> for UserError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Runs a change again after a deadlock, or when a twin made the same row at the same moment.
async fn retry<F>(mut attempt: impl FnMut() -> F) -> Result<(), UserError>
where
    F: Future<Output = Result<(), UserError>>,
{
    let mut tried = 1;
    loop {
        match attempt().await {
            Err(UserError::Store(Error::Contended(_) | Error::Conflict { .. }))
                if tried < super::CONTENTION_ATTEMPTS =>
            {
                super::pause_contended(tried).await;
                tried += 1;
            }
            done => return done,
        }
    }
}

async fn take_uid(tx: &mut MySqlConnection, source: &Source, user: &User) -> Result<(), UserError> {
    take_target_uid(tx, source.id, user, true).await.map_err(|error| {
        if error.is_conflict_on("PRIMARY") { UserError::TargetUidTaken } else { error.into() }
    })
}

async fn refuse_open(tx: &mut MySqlConnection, tables: &Tables, user: UserId) -> Result<(), UserError> {
    let open: Option<u64> = sqlx::query_scalar(tables.sql("SELECT id FROM {journal} WHERE open_user = ?"))
        .bind(user.0)
        .fetch_optional(tx)
        .await?;
    open.map_or(Ok(()), |id| Err(UserError::Open(JournalId(id))))
}

async fn hold(tx: &mut MySqlConnection, source: &Source, user: &User) -> Result<(), UserError> {
    let gone = hold_places(tx, source.id, &[user], LockWait::PATIENT).await?;
    gone.first().map_or(Ok(()), |(_, field)| Err(UserError::Gone(field)))
}

impl Store {
    /// Creates a user.
    pub async fn create_user(
        &self,
        source: &Source,
        source_uid: &str,
        fields: &UserFields,
    ) -> Result<(), UserError> {
        retry(|| self.create_user_once(source, source_uid, fields)).await
    }

    async fn create_user_once(
        &self,
        source: &Source,
        source_uid: &str,
        fields: &UserFields,
    ) -> Result<(), UserError> {
        let tables = Tables::of(&source.name);
        let mut tx = self.begin().await?;
        if lock_user(&mut tx, &tables, source_uid).await?.is_some() {
            return Err(UserError::Exists);
        }
        let mut user = fields.merge(None, source_uid).map_err(UserError::Missing)?;
        hold(&mut tx, source, &user).await?;
        user.id = write_user(&mut tx, &tables, &user).await?;
        take_uid(&mut tx, source, &user).await?;
        Ok(tx.commit().await?)
    }

    /// Changes the given fields of a user. Its place can't change while a migration is open, and, unless
    /// `force`, its target and target uid not after a first success.
    pub async fn update_user(
        &self,
        source: &Source,
        source_uid: &str,
        fields: &UserFields,
        force: bool,
    ) -> Result<(), UserError> {
        retry(|| self.update_user_once(source, source_uid, fields, force)).await
    }

    async fn update_user_once(
        &self,
        source: &Source,
        source_uid: &str,
        fields: &UserFields,
        force: bool,
    ) -> Result<(), UserError> {
        let tables = Tables::of(&source.name);
        let mut tx = self.begin().await?;
        let known = lock_user(&mut tx, &tables, source_uid).await?.ok_or(UserError::NotFound)?;
        let moves = fields.moves(&known);
        let changes_place = moves || fields.sourcehost.is_some_and(|host| host != known.sourcehost);
        if changes_place {
            // The open row carries both, and the queue has filed it under them.
            refuse_open(&mut tx, &tables, known.id).await?;
        }
        if moves && !force && was_synced(&mut tx, &tables, &known).await? {
            return Err(UserError::TargetChanged);
        }
        let user = fields.merge(Some(known), source_uid).map_err(UserError::Missing)?;
        if changes_place {
            hold(&mut tx, source, &user).await?;
        }
        write_user(&mut tx, &tables, &user).await?;
        if moves {
            take_uid(&mut tx, source, &user).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Deletes a user with its records. Refused while a migration is open or a child may live.
    pub async fn delete_user(&self, source: &Source, source_uid: &str) -> Result<(), UserError> {
        retry(|| self.delete_user_once(source, source_uid)).await
    }

    async fn delete_user_once(&self, source: &Source, source_uid: &str) -> Result<(), UserError> {
        let tables = Tables::of(&source.name);
        let mut tx = self.begin().await?;
        let user = lock_user(&mut tx, &tables, source_uid).await?.ok_or(UserError::NotFound)?;
        refuse_open(&mut tx, &tables, user.id).await?;
        let leased: Option<u64> =
            sqlx::query_scalar("SELECT journal_id FROM leases WHERE source_id = ? AND user_id = ?")
                .bind(source.id.0)
                .bind(user.id.0)
                .fetch_optional(&mut *tx)
                .await?;
        if let Some(id) = leased {
            return Err(UserError::Leased(JournalId(id)));
        }
        sqlx::query("DELETE FROM target_uids WHERE source_id = ? AND user_id = ?")
            .bind(source.id.0)
            .bind(user.id.0)
            .execute(&mut *tx)
            .await?;
        for statement in ["DELETE FROM {journal} WHERE user_id = ?", "DELETE FROM {users} WHERE id = ?"] {
            sqlx::query(tables.sql(statement)).bind(user.id.0).execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }
}
