//! What users and waiting migrations take in the stores.

use anyhow::{Context as _, Result};
use dmf_e2e::faults::Keys;
use sqlx::{Connection as _, MySqlConnection};

use crate::{process::megabytes, stage::Stage};

/// Bytes in either store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    redis: u64,
    mariadb: u64,
}

/// What is stored now.
pub(super) async fn look_at(stage: &Stage) -> Result<Stored> {
    let info: String = Keys::open(stage.fleet.lab())?.command(&["INFO", "memory"]).await?;
    let redis = info.lines().find_map(|line| line.strip_prefix("used_memory:")).context("used_memory")?;
    let mut database = MySqlConnection::connect(&stage.fleet.database_url()).await?;
    // Sizes are those that the last look at a table found.
    sqlx::raw_sql("ANALYZE TABLE usersLoad, journalLoad, target_uids").execute(&mut database).await?;
    let mariadb = sqlx::query_scalar(
        "SELECT CAST(SUM(data_length + index_length) AS UNSIGNED) FROM information_schema.tables
         WHERE table_schema = DATABASE()",
    )
    .fetch_one(&mut database)
    .await?;
    Ok(Stored { redis: redis.trim().parse()?, mariadb })
}

/// A row for each store: its name, what it holds after so many users were added, and bytes of each of them.
pub(super) fn rows(before: Stored, after: Stored, users: u64) -> Vec<Vec<String>> {
    let row = |name: &str, before: u64, after: u64| {
        let each = after.saturating_sub(before) / users;
        vec![name.to_owned(), format!("{:.0}", megabytes(after)), each.to_string()]
    };
    vec![row("Redis", before.redis, after.redis), row("MariaDB", before.mariadb, after.mariadb)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_nobody_s() {
        let (before, after) =
            (Stored { redis: 1_000_000, mariadb: 0 }, Stored { redis: 21_000_000, mariadb: 40_000_000 });
        let rows = rows(before, after, 100_000);
        assert_eq!(rows, [["Redis", "21", "200"], ["MariaDB", "40", "400"]]);
    }
}
