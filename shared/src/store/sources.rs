//! Sources: the platforms that users are moved from.

use sqlx::{FromRow, Row as _, mysql::MySqlRow};

use super::{Error, Result, Store, schema, tables::Tables};
use crate::domain::ids::{SourceId, SourceName};

/// A Source as every other part needs it.
#[derive(Debug, Clone)]
pub struct Source {
    /// Row id.
    pub id: SourceId,
    /// Its name, part of its tables' names.
    pub name: SourceName,
    /// Nothing of it starts while set.
    pub paused: bool,
}

impl FromRow<'_, MySqlRow> for Source {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        let name: String = row.try_get("name")?;
        let name = name.parse().map_err(|error| sqlx::Error::ColumnDecode {
            index: "sources.name".to_owned(),
            source: Box::new(error),
        })?;
        Ok(Self { id: SourceId(row.try_get("id")?), name, paused: row.try_get("paused")? })
    }
}

/// A Source as the admin sees it.
#[derive(Debug, Clone)]
pub struct SourceView {
    /// The Source.
    pub source: Source,
    /// How many users it has.
    pub users: u64,
    /// How many migrations are waiting or running.
    pub open_migrations: u64,
    /// Requests a second of its key, where that is not left to the configuration; 0 is no limit.
    pub rate_limit: Option<u32>,
    /// Its tables are gone already: its deletion was cut off and is going on.
    pub deleting: bool,
}

impl Store {
    /// Creates a Source with its tables. `Conflict` on `sources_name` when the name exists, also in
    /// another case, and on `sources_api_key_hash` when another Source has this key.
    ///
    /// The tables come first (DDL can't join a transaction), so that a Source that is there always has
    /// them: when this ends between the two, empty tables stay, which the next try takes.
    pub async fn create_source(&self, name: &SourceName, api_key_hash: [u8; 32]) -> Result<Source> {
        if self.source_by_name(name.as_str()).await?.is_some() {
            return Err(Error::Conflict { constraint: "sources_name".to_owned() });
        }
        let mut connection = self.pool.acquire().await?;
        let step = schema::run_source_steps(&mut connection, name, 0, schema::PER_SOURCE).await?;
        let inserted = sqlx::query(
            "INSERT INTO sources (name, api_key_hash, schema_step, created, modified)
             VALUES (?, ?, ?, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))",
        )
        .bind(name.as_str())
        .bind(&api_key_hash[..])
        .bind(step)
        .execute(&mut *connection)
        .await?;
        connection.give_back();
        let id = u32::try_from(inserted.last_insert_id())
            .map_err(|_| Error::Inconsistent { table: "sources", column: "id" })?;
        Ok(Source { id: SourceId(id), name: name.clone(), paused: false })
    }

    /// The Source of this name, in any case of letters.
    pub async fn source_by_name(&self, name: &str) -> Result<Option<Source>> {
        // The database would pass over blanks at its end.
        if name.ends_with(' ') {
            return Ok(None);
        }
        Ok(sqlx::query_as("SELECT id, name, paused FROM sources WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.pool)
            .await?)
    }

    /// The Source that a customer's key belongs to.
    pub async fn source_by_api_key(&self, api_key_hash: [u8; 32]) -> Result<Option<Source>> {
        Ok(self.customer_by_api_key(api_key_hash).await?.map(|(source, _)| source))
    }

    /// The Source that a customer's key belongs to, with the key's own limit of requests a second.
    pub async fn customer_by_api_key(&self, api_key_hash: [u8; 32]) -> Result<Option<(Source, Option<u32>)>> {
        let row = sqlx::query("SELECT id, name, paused, rate_limit FROM sources WHERE api_key_hash = ?")
            .bind(&api_key_hash[..])
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| Ok((Source::from_row(&row)?, row.try_get("rate_limit")?))).transpose()
    }

    /// Gives a Source another key or rate limit; the outer `None` leaves one as it is. The old key is void
    /// with the commit. `Conflict` on `sources_api_key_hash` when another Source has this key.
    pub async fn update_source(
        &self,
        source: SourceId,
        api_key_hash: Option<[u8; 32]>,
        rate_limit: Option<Option<u32>>,
    ) -> Result<()> {
        sqlx::query(
            "UPDATE sources SET api_key_hash = COALESCE(?, api_key_hash), rate_limit = IF(?, ?, rate_limit),
                 modified = UTC_TIMESTAMP(3) WHERE id = ?",
        )
        .bind(api_key_hash.as_ref().map(|hash| &hash[..]))
        .bind(rate_limit.is_some())
        .bind(rate_limit.flatten())
        .bind(source.0)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// All Sources, by name.
    pub async fn sources(&self) -> Result<Vec<Source>> {
        Ok(sqlx::query_as("SELECT id, name, paused FROM sources ORDER BY name").fetch_all(&self.pool).await?)
    }

    /// A Source with the counts that the admin sees: two index scans.
    pub async fn source_view(&self, source: Source) -> Result<SourceView> {
        let rate_limit: Option<Option<u32>> =
            sqlx::query_scalar("SELECT rate_limit FROM sources WHERE id = ?")
                .bind(source.id.0)
                .fetch_optional(&self.pool)
                .await?;
        let rate_limit = rate_limit.flatten();
        let (users, open_migrations, deleting) = match self.count_source(&source).await {
            Ok((users, open)) => (users, open, false),
            Err(error) if error.is_schema_missing() => (0, 0, true),
            Err(error) => return Err(error),
        };
        Ok(SourceView { source, users, open_migrations, rate_limit, deleting })
    }

    /// Users and open migrations.
    async fn count_source(&self, source: &Source) -> Result<(u64, u64)> {
        let (users, open): (i64, i64) = sqlx::query_as(Tables::of(&source.name).sql(
            "SELECT (SELECT COUNT(*) FROM {users}),
                    (SELECT COUNT(*) FROM {journal} WHERE status IN ('SCHEDULED', 'SYNC'))",
        ))
        .fetch_one(&self.pool)
        .await?;
        Ok((users.unsigned_abs(), open.unsigned_abs()))
    }
}
