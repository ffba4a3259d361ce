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

fn select(tables: &Tables) -> String {
    format!(
        "SELECT {}, u.created, u.modified, t.name AS target_name, h.name AS sourcehost_name {}",
        users::COLUMNS,
        tables.text(
            "FROM {users} u JOIN targets t ON t.id = u.target_id LEFT JOIN sourcehosts h ON h.id = u.sourcehost_id"
        )
    )
}

impl Store {
    /// The user of this uid, as the API shows it.
    pub async fn user_view(&self, source: &Source, source_uid: &str) -> Result<Option<UserView>> {
        let statement = format!("{} WHERE u.source_uid = ?", select(&Tables::of(&source.name)));
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(source_uid).fetch_optional(&self.pool).await?)
    }

    /// A page of users in the order of their creation, which rows that are added do not disturb.
    pub async fn users(&self, source: &Source, filter: &UserFilter) -> Result<Vec<UserView>> {
        let mut statement = QueryBuilder::<MySql>::new(select(&Tables::of(&source.name)));
        statement.push(" WHERE u.id > ").push_bind(filter.after.0);
        if let Some(host) = filter.sourcehost {
            statement.push(" AND u.sourcehost_id = ").push_bind(host.0);
        }
        if let Some(target) = filter.target {
            statement.push(" AND u.target_id = ").push_bind(target.0);
        }
        statement.push(" ORDER BY u.id LIMIT ").push_bind(filter.limit);
        Ok(statement.build_query_as().fetch_all(&self.pool).await?)
    }
}
