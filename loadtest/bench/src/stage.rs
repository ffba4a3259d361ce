//! The servers and schedulers of a measurement, on a real disk, with durable commits.

use std::path::Path;

use anyhow::{Context as _, Result};
use dmf_e2e::{Binaries, Builder, Customer, Fleet};
use reqwest::Method;
use serde_json::json;
use sqlx::{Connection as _, MySqlConnection, Row as _};

/// The one target.
pub(crate) const TARGET: &str = "default";
/// The one source host.
pub(crate) const HOST: &str = "imap.example";

/// A fleet of schedulers without workers, and a Source to submit to.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) fleet: Fleet,
    pub(crate) customer: Customer,
    pub(crate) ids: Ids,
    /// Removed at the end, behind the fleet.
    _data: tempfile::TempDir,
}

/// The rows that every submit refers to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids {
    pub(crate) source: u32,
    pub(crate) host: u32,
    pub(crate) target: u32,
}

/// The Source, which its tables are named after.
pub(crate) const SOURCE: &str = "Load";

impl Stage {
    pub(crate) async fn start(data: &Path, schedulers: usize) -> Result<Self> {
        Self::on(Fleet::builder().schedulers(schedulers).workers(0), data).await
    }

    /// The same over a fleet that may have workers, of which none is started.
    pub(crate) async fn on(fleet: Builder, data: &Path) -> Result<Self> {
        let data = tempfile::tempdir_in(data).context("a directory for the data")?;
        let fleet = fleet
            .started_workers(0)
            .dir(data.path().join("lab"))
            .mariadb_options(&["--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M"])
            .start(&Binaries::beside_this_program()?)
            .await?;
        let admin =
            async |path: &str, body| fleet.api().admin(Method::POST, path, Some(&body)).await?.expect(201);
        admin("/targets", json!({ "name": TARGET })).await?;
        let customer = fleet.create_source(SOURCE).await?;
        let host = json!({ "name": HOST, "maxConnections": 100, "migrationCommand1": { "name": "ignore" } });
        admin(&format!("/sources/{SOURCE}/sourcehosts"), host).await?;
        let mut database = MySqlConnection::connect(&fleet.database_url()).await?;
        let row = sqlx::query("SELECT h.source_id, h.id, t.id FROM sourcehosts h, targets t")
            .fetch_one(&mut database)
            .await?;
        let ids = Ids { source: row.try_get(0)?, host: row.try_get(1)?, target: row.try_get(2)? };
        Ok(Self { fleet, customer, ids, _data: data })
    }

    /// How many migrations wait.
    pub(crate) async fn submitted(&self) -> Result<u64> {
        let mut database = MySqlConnection::connect(&self.fleet.database_url()).await?;
        let count: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM journalLoad").fetch_one(&mut database).await?;
        Ok(count.try_into()?)
    }
}
