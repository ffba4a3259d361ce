//! What can go wrong with MariaDB, sorted by what the caller can do about it.

use sqlx::{error::DatabaseError, migrate::MigrateError};

/// Result of every call of the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed call of the store. `Display` never holds SQL, values or credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// MariaDB can't be reached or refuses work for now; the outcome of a commit is unknown.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// A deadlock or a lock wait that went on too long, even after retries; nothing was changed.
    #[error("the database rows are contended")]
    Contended(#[source] sqlx::Error),
    /// A unique key is taken.
    #[error("a row with this {constraint} exists already")]
    Conflict {
        /// Name of the unique key.
        constraint: String,
    },
    /// Another row that this one refers to is gone, or one that refers to it is there.
    #[error("a row is gone that another one refers to")]
    Reference(#[source] sqlx::Error),
    /// A statement touched another number of rows than the protocol allows.
    #[error("{table}: {actual} rows were changed instead of {expected}")]
    RowsAffected {
        /// The table.
        table: &'static str,
        /// How many rows had to change.
        expected: u64,
        /// How many did.
        actual: u64,
    },
    /// A stored value can't be read.
    #[error("{table}.{column} holds a value that can't be read")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// The schema could not be brought up to date.
    #[error("the database schema could not be migrated")]
    Migrate(#[source] MigrateError),
    /// Anything else that the database refuses: a fault in this program or in the grants.
    #[error("the database refused a statement")]
    Refused(#[source] sqlx::Error),
}

/// MariaDB error numbers: lock wait timeout, deadlock, record changed since last read.
const CONTENTION: [u16; 3] = [LOCK_WAIT, 1213, 1020];
const LOCK_WAIT: u16 = 1205;
/// States of the server that pass. Too many connections (of the server, of the user), shutdown in progress,
/// connection killed, server gone, lost, read-only, no such thread, query interrupted; disk full, table full,
/// storage engine failed, out of memory, no thread to be had, commit failed, statement took too long, host
/// blocked after too many broken connections.
const UNAVAILABLE: [u16; 18] = [
    1040, 1203, 1053, 1927, 2006, 2013, 1290, 1836, 1317, 1094, 1021, 1114, 1030, 1041, 1135, 1180, 1969,
    1129,
];
/// Login refused: of the user, of the host.
const LOGIN_REFUSED: [u16; 2] = [1045, 1130];
const DUPLICATE_KEY: u16 = 1062;
/// A foreign key: the row is referred to, the row that is referred to is missing.
const FOREIGN_KEY: [u16; 2] = [1451, 1452];

fn number(error: &dyn DatabaseError) -> Option<u16> {
    error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().map(sqlx::mysql::MySqlDatabaseError::number)
}

/// The key's name out of `Duplicate entry 'x' for key 'name'`.
fn constraint(message: &str) -> String {
    let key = message.rsplit_once("for key ").map_or("", |(_, key)| key).trim_matches('\'');
    key.rsplit_once('.').map_or(key, |(_, name)| name).to_owned()
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let Some(number) = error.as_database_error().and_then(number) else {
            return match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
                other => Self::Refused(other),
            };
        };
        match number {
            DUPLICATE_KEY => {
                let message = error.as_database_error().map_or("", |e| e.message());
                Self::Conflict { constraint: constraint(message) }
            }
            n if FOREIGN_KEY.contains(&n) => Self::Reference(error),
            n if CONTENTION.contains(&n) => Self::Contended(error),
            n if UNAVAILABLE.contains(&n) => Self::Unavailable(error),
            _ => Self::Refused(error),
        }
    }
}

impl From<MigrateError> for Error {
    /// A database that went away during a migration is as unavailable as in any other statement.
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(cause) => match Self::from(cause) {
                Self::Refused(cause) => Self::Migrate(MigrateError::Execute(cause)),
                known => known,
            },
            MigrateError::ExecuteMigration(cause, version) => match Self::from(cause) {
                Self::Refused(cause) => Self::Migrate(MigrateError::ExecuteMigration(cause, version)),
                known => known,
            },
            other => Self::Migrate(other),
        }
    }
}

impl Error {
    /// Nobody knows what became of a call.
    pub fn unanswered() -> Self {
        Self::Unavailable(sqlx::Error::Protocol("it was not answered".to_owned()))
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Contended(_))
    }

    /// Whether it may pass for somebody who was let in before: also a login that is refused, while its
    /// password or its grants are being changed.
    pub fn may_pass(&self) -> bool {
        self.is_transient() || self.is_one_of(&LOGIN_REFUSED)
    }

    fn is_one_of(&self, numbers: &[u16]) -> bool {
        let Self::Refused(error) = self else { return false };
        error.as_database_error().and_then(number).is_some_and(|number| numbers.contains(&number))
    }

    /// Whether a row was locked by somebody else for longer than the statement may wait.
    pub fn is_lock_wait(&self) -> bool {
        let Self::Contended(error) = self else { return false };
        error.as_database_error().and_then(number) == Some(LOCK_WAIT)
    }

    /// Whether the database or a table is missing: no scheduler has made the schema yet.
    pub fn is_schema_missing(&self) -> bool {
        self.is_one_of(&[1049, 1146])
    }

    /// Whether this is a conflict on the unique key `name`.
    pub fn is_conflict_on(&self, name: &str) -> bool {
        matches!(self, Self::Conflict { constraint } if constraint == name)
    }
}

/// Fails unless exactly `expected` rows were changed.
pub(super) fn expect_rows(table: &'static str, expected: u64, actual: u64) -> Result<()> {
    if expected == actual { Ok(()) } else { Err(Error::RowsAffected { table, expected, actual }) }
}

#[cfg(test)]
mod tests {
    use super::constraint;

    #[test]
    fn finds_the_constraint() {
        assert_eq!(constraint("Duplicate entry 'a for key b' for key 'sources_name'"), "sources_name");
        assert_eq!(constraint("Duplicate entry '1' for key 'users.source_uid'"), "source_uid");
        assert_eq!(constraint("something else"), "");
    }
}
