//! Servers, fleet and mailboxes of the part.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::{Binaries, Customer, Fleet, LeaseSecs, SourceHost};
use dmf_lab::{Folders, Lab, Seed, Seeded, poll_until};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::MySqlPool;

use super::commands::Commands;
use crate::stage::TARGET;

/// The Source, which its tables are named after.
const SOURCE: &str = "Mail";
/// The same for every user; the bare side reads it from one file.
pub(super) const PASSWORD: &str = "sixteen-letters!";
/// More than any measurement runs at a time: the threads are the limit.
const CONNECTIONS: usize = 64;
/// As the programs have them unless told.
const LEASE: LeaseSecs = LeaseSecs { heartbeat: 10, deadline: 45, silence: 60, poll: 5 };
/// Longest time of one measurement.
const LIMIT: Duration = Duration::from_mins(30);
/// Between two looks whether everything has ended: the time of the end is that in the records.
const LOOK: Duration = Duration::from_millis(100);
/// The user whose record tells what a worker runs.
const PROBE: &str = "probe-of-the-commands";
/// Everybody may pass through.
const PASSABLE: u32 = 0o755;
/// The bit that says so.
const OTHERS_PASS: u32 = 0o001;

/// Mailboxes of one kind.
#[derive(Debug)]
pub(super) struct Mailboxes {
    /// For people.
    pub(super) name: String,
    /// Names of the users.
    pub(super) users: Vec<String>,
    /// What each of them was given.
    truths: Vec<Seeded>,
}

/// One scheduler, one worker, a source behind a line whose latency can be set, a target.
#[derive(Debug)]
pub(super) struct Stage {
    fleet: Fleet,
    customer: Customer,
    host: SourceHost,
    database: MySqlPool,
    /// Removed at the end, behind the fleet.
    _data: tempfile::TempDir,
}

/// What a pass through the fleet took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed {
    /// From before the submit to the last end.
    pub(super) took: Duration,
    /// Of a migration, from its claim to its end, the time in which none of its commands ran: the mean.
    pub(super) beside_commands: Duration,
}

impl Stage {
    pub(super) async fn start(data: &Path) -> Result<Self> {
        let data = tempfile::tempdir_in(data).context("a directory for the data")?;
        // Whoever owns the mail must get to it.
        fs::set_permissions(data.path(), fs::Permissions::from_mode(PASSABLE))?;
        expect_passable(data.path())?;
        let fleet = Fleet::builder()
            .lease(LEASE)
            .dir(data.path().join("lab"))
            .mariadb_options(&["--innodb-buffer-pool-size=256M"])
            .start(&Binaries::beside_this_program()?)
            .await?;
        let customer = fleet.create_source(SOURCE).await?;
        let host = fleet.add_host(&customer, CONNECTIONS).await?;
        let database = MySqlPool::connect(&fleet.database_url()).await?;
        Ok(Self { fleet, customer, host, database, _data: data })
    }

    pub(super) fn lab(&self) -> &Lab {
        self.fleet.lab()
    }

    pub(super) fn host(&self) -> &SourceHost {
        &self.host
    }

    /// The configuration that carries the password to doveadm.
    pub(super) fn secret(&self) -> String {
        format!("!include {}\nimapc_password = \"{PASSWORD}\"\n", self.lab().target().conf_path().display())
    }

    /// Has each round trip to the source take that much longer.
    pub(super) fn set_latency(&self, latency: Duration) {
        self.host.proxy.set_latency(latency);
    }

    /// Fills mailboxes, and makes their users known to the fleet.
    pub(super) async fn fill(&self, kind: &str, users: usize, mails: u64) -> Result<Mailboxes> {
        let users: Vec<String> = (0..users).map(|number| format!("{kind}{number:03}@mail.example")).collect();
        let mut truths = Vec::new();
        for user in &users {
            truths.push(self.fleet.add_user(user, PASSWORD, &Seed::new(Folders::Normal, mails))?);
            let mut body = self.host.submission(user, PASSWORD);
            body.as_object_mut().context("a submission is an object")?.remove("phase");
            self.customer.request(Method::POST, "/users", Some(&body)).await?.expect(201)?;
        }
        let name = format!("{} × {mails}", users.len());
        Ok(Mailboxes { name, users, truths })
    }

    /// What a worker runs for a user, from the record of one.
    pub(super) async fn commands(&self) -> Result<Commands> {
        self.fleet.add_user(PROBE, PASSWORD, &Seed::new(Folders::Inbox, 3))?;
        self.customer.submit(&self.host.submission(PROBE, PASSWORD)).await?;
        let record = self.customer.wait_for(PROBE, "SUCCESS").await?;
        Commands::of_record(PROBE, &record)
    }

    /// Starts the worker again with so many threads.
    pub(super) async fn set_threads(&self, threads: usize) -> Result<()> {
        let worker = &self.fleet.workers()[0];
        let path = format!("/targets/{TARGET}/backends/{}", worker.name());
        let wanted = json!({ "maxThreads": threads });
        self.fleet.api().admin(Method::PUT, &path, Some(&wanted)).await?.expect(200)?;
        worker.stop().await?;
        worker.start()?;
        self.fleet.wait_for_worker(0).await?;
        let shown = self.fleet.api().admin(Method::GET, &path, None).await?.expect(200)?;
        ensure!(shown["maxThreads"] == threads, "the worker runs otherwise: {shown}");
        Ok(())
    }

    /// Removes these users' mail from the target.
    pub(super) fn empty_target(&self, users: &[String]) -> Result<()> {
        users.iter().try_for_each(|user| Ok(self.lab().target().forget(user)?))
    }

    /// Looks whether this user has on the target what the source was given.
    pub(super) async fn expect_mail(&self, mailboxes: &Mailboxes, user: usize) -> Result<()> {
        let truth = mailboxes.truths.get(user).context("there is no such user")?;
        self.fleet.expect_mail(&truth.user, truth).await
    }

    /// Migrates these users through the API.
    pub(super) async fn migrate(&self, users: &[String]) -> Result<Passed> {
        let (last, begun): (u64, String) = sqlx::query_as(
            "SELECT CAST(COALESCE(MAX(id), 0) AS UNSIGNED), CAST(UTC_TIMESTAMP(3) AS CHAR) FROM journalMail",
        )
        .fetch_one(&self.database)
        .await?;
        let bodies: Vec<Value> =
            users.iter().map(|user| json!({ "sourceUid": user, "phase": "PRE_SYNC" })).collect();
        let answers = self.fleet.api().bulk(self.customer.key(), &bodies).await?;
        let created = answers.iter().filter(|answer| answer["status"] == "CREATED").count();
        ensure!(created == users.len(), "{created} of {} submits were taken: {answers:?}", users.len());
        self.wait_for_end(last, users.len()).await?;
        let micros: i64 = sqlx::query_scalar(
            "SELECT TIMESTAMPDIFF(MICROSECOND, ?, MAX(stopped)) FROM journalMail WHERE id > ?",
        )
        .bind(begun)
        .bind(last)
        .fetch_one(&self.database)
        .await?;
        let took = Duration::from_micros(micros.try_into().context("it ended before it began")?);
        Ok(Passed { took, beside_commands: self.beside_commands(last).await? })
    }

    async fn wait_for_end(&self, last: u64, users: usize) -> Result<()> {
        poll_until("the migrations did not end", LIMIT, async || {
            tokio::time::sleep(LOOK).await;
            let counted: sqlx::Result<Vec<(String, i64)>> = sqlx::query_as(
                "SELECT CAST(status AS CHAR), COUNT(*) FROM journalMail WHERE id > ? GROUP BY status",
            )
            .bind(last)
            .fetch_all(&self.database)
            .await;
            let counted = counted.map_err(|error| error.to_string())?;
            let of = |wanted: &str| -> i64 {
                counted.iter().filter(|(status, _)| status == wanted).map(|(_, count)| count).sum()
            };
            if of("SCHEDULED") + of("SYNC") > 0 {
                return Err(format!("{counted:?}"));
            }
            let all = usize::try_from(of("SUCCESS")).is_ok_and(|count| count == users);
            Ok(if all { Ok(()) } else { Err(anyhow::anyhow!("not all are a SUCCESS: {counted:?}")) })
        })
        .await?
    }

    /// Of the migrations behind this one, the mean time that no command of theirs ran.
    async fn beside_commands(&self, last: u64) -> Result<Duration> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT TIMESTAMPDIFF(MICROSECOND, started, stopped), details FROM journalMail WHERE id > ?",
        )
        .bind(last)
        .fetch_all(&self.database)
        .await?;
        let mut micros = 0;
        for (took, details) in &rows {
            let details: Value = serde_json::from_str(details)?;
            let blocks = details.as_array().into_iter().flatten().filter_map(Value::as_object).flatten();
            let commands: i64 = blocks.filter_map(|(_, block)| block["durationMs"].as_i64()).sum();
            micros += (took - commands * 1000).max(0);
        }
        let mean = u64::try_from(micros)?.checked_div(rows.len() as u64).context("there are no records")?;
        Ok(Duration::from_micros(mean))
    }
}

/// Whoever owns the mail has to pass through all directories above it.
fn expect_passable(path: &Path) -> Result<()> {
    let path = path.canonicalize()?;
    for directory in path.ancestors() {
        let mode =
            fs::metadata(directory).with_context(|| directory.display().to_string())?.permissions().mode();
        ensure!(
            mode & OTHERS_PASS != 0,
            "other users can't pass through {}, as Dovecot's has to: name another directory with --data",
            directory.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_one_user_alone_is_seen() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o755)).unwrap();
        expect_passable(&inner).unwrap();
        fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(expect_passable(&inner).unwrap_err().to_string().contains("--data"));
    }
}
