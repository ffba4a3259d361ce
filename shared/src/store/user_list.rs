//! Users as the API shows them: one, and pages of all.

use sqlx::{FromRow, MySql, QueryBuilder, Row as _, mysql::MySqlRow};
use time::OffsetDateTime;

use super::{Result, Source, Store, tables::Tables, users};
use crate::domain::{
    ids::{HostId, TargetId, UserId},
    user::User,
};

/// A user with the names of what it points to.
#[derive(Debug, Clone)]
pub struct UserView {
    /// The user.
    pub user: User,
    /// Name of its target.
    pub target: String,
    /// Name of its source host; none when that was deleted at the moment when the user came.
    pub sourcehost: Option<String>,
    /// When it was created.
    pub created: OffsetDateTime,
    /// When it was changed last.
    pub modified: OffsetDateTime,
}

impl FromRow<'_, MySqlRow> for UserView {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        Ok(Self {
            user: User::from_row(row)?,
            target: row.try_get("target_name")?,
            sourcehost: row.try_get("sourcehost_name")?,
            created: row.try_get("created")?,
            modified: row.try_get("modified")?,
        })
    }
}

/// Which users a page holds.
#[derive(Debug, Clone, Copy)]
pub struct UserFilter {
    /// Those of this source host.
    pub sourcehost: Option<HostId>,
    /// Those of this target.
    pub target: Option<TargetId>,
    /// Those after this one; the first page starts with 0.
    pub after: UserId,
    /// At most so many.
    pub limit: u32,
}

impl UserFilter {
    fn page(&self, tables: &Tables, before: &str) -> QueryBuilder<MySql> {
        let key = match (self.sourcehost, self.target) {
            (Some(_), _) => "sourcehost",
            (None, Some(_)) => "target",
            (None, None) => "PRIMARY",
        };
        let mut statement = QueryBuilder::new(before);
        statement.push(select(tables, key)).push(" WHERE u.id > ").push_bind(self.after.0);
        if let Some(host) = self.sourcehost {
            statement.push(" AND u.sourcehost_id = ").push_bind(host.0);
        }
        if let Some(target) = self.target {
            statement.push(" AND u.target_id = ").push_bind(target.0);
        }
        statement.push(" ORDER BY u.id LIMIT ").push_bind(self.limit);
        statement
    }
}

/// The users are read first, by a key of theirs: else each page would sort the whole table.
fn select(tables: &Tables, key: &str) -> String {
    format!(
        "SELECT STRAIGHT_JOIN {}, u.created, u.modified, t.name AS target_name, h.name AS sourcehost_name {}",
        users::COLUMNS,
        tables.text("FROM {users} u FORCE INDEX (")
            + key
            + ") JOIN targets t ON t.id = u.target_id LEFT JOIN sourcehosts h ON h.id = u.sourcehost_id"
    )
}

impl Store {
    /// The user of this uid, as the API shows it.
    pub async fn user_view(&self, source: &Source, source_uid: &str) -> Result<Option<UserView>> {
        let statement = format!("{} WHERE u.source_uid = ?", select(&Tables::of(&source.name), "source_uid"));
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(source_uid).fetch_optional(&self.pool).await?)
    }

    /// A page of users in the order of their creation, which rows that are added do not disturb.
    pub async fn users(&self, source: &Source, filter: &UserFilter) -> Result<Vec<UserView>> {
        Ok(filter.page(&Tables::of(&source.name), "").build_query_as().fetch_all(&self.pool).await?)
    }

    /// How MariaDB reads a page of [`Store::users`]: key and `Extra` of the table of users.
    pub async fn explain_users(&self, source: &Source, filter: &UserFilter) -> Result<(String, String)> {
        let mut statement = filter.page(&Tables::of(&source.name), "EXPLAIN ");
        let row = statement.build().fetch_one(&self.pool).await?;
        Ok((row.try_get::<Option<String>, _>("key")?.unwrap_or_default(), row.try_get("Extra")?))
    }
}
