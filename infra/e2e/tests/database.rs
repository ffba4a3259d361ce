//! The SQL and the commands of `docs/operating/database.md`, run as they stand there.

#![allow(clippy::disallowed_methods, reason = "commands of the document are run as an operator does")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::{Daemon, Fleet};
use dmf_lab::{Folders, Lab, Seed, poll_until};
use reqwest::Method;
use sqlx::mysql::MySqlConnection;
use sqlx::{Connection as _, Executor as _};

const DOCUMENT: &str = include_str!("../../../docs/operating/database.md");
const PASSWORD: &str = "pw";
const DEADLINE: Duration = Duration::from_secs(30);

/// The block of the document with this word behind its fence.
fn block(kind: &str) -> Result<&'static str> {
    let (_, rest) =
        DOCUMENT.split_once(&format!("```{kind}\n")).with_context(|| format!("no block {kind}"))?;
    Ok(rest.split_once("```").context("the block does not end")?.0)
}

async fn admin(lab: &Lab) -> Result<MySqlConnection> {
    Ok(MySqlConnection::connect(&lab.mariadb().url("")).await?)
}

/// Runs SQL of the document; only the network is this machine's.
async fn run_sql(connection: &mut MySqlConnection, kind: &str) -> Result<()> {
    let text = block(kind)?.replace("10.0.0.%", "127.0.0.1");
    for statement in text.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        connection
            .execute(sqlx::AssertSqlSafe(statement.to_owned()))
            .await
            .with_context(|| statement.to_owned())?;
    }
    Ok(())
}

/// Writes another account into the settings of a process that is not running.
fn give_account(lab: &Lab, daemon: &Daemon, user: &str, password: &str) -> Result<()> {
    let (of_lab, its_password) = (lab.mariadb().user(), lab.mariadb().password());
    let before = format!("    username: {of_lab}\n    password: {its_password}\n");
    let text = fs::read_to_string(daemon.settings())?;
    ensure!(text.contains(&before), "{text}");
    fs::write(
        daemon.settings(),
        text.replace(&before, &format!("    username: {user}\n    password: {password}\n")),
    )?;
    Ok(())
}

/// Everything that either program does in the database, with the grants of the document.
#[tokio::test]
async fn the_documented_grants_are_enough_and_not_too_much() -> Result<()> {
    Fleet::builder()
        .workers(2)
        .started_workers(0)
        .worker_settings("dmf.worker.suspend.unreachable-users: 1\n")
        .run(async |fleet| {
            let lab = fleet.lab();
            let scheduler = &fleet.schedulers()[0];
            scheduler.stop().await?;
            let mut root = admin(lab).await?;
            root.execute("DROP DATABASE migration").await?;
            run_sql(&mut root, "sql scheduler").await?;
            give_account(lab, scheduler, "dmf_scheduler", "change-me-1")?;
            scheduler.start()?;
            fleet.wait_for_scheduler(0).await?;
            run_sql(&mut root, "sql worker").await?;
            for (number, worker) in fleet.workers().iter().enumerate() {
                give_account(lab, worker, "dmf_worker", "change-me-2")?;
                worker.start()?;
                fleet.wait_for_worker(number).await?;
            }
            migrate(fleet).await?;
            for daemon in fleet.schedulers().iter().chain(fleet.workers()) {
                assert!(!daemon.log().contains("denied"), "{}", daemon.log());
            }
            expect_refusals(lab).await
        })
        .await
}

/// Success, cutover, a host that is suspended, a worker that is lost and comes back, and deletions.
async fn migrate(fleet: &Fleet) -> Result<()> {
    let customer = fleet.create_source("CustomerX").await?;
    let host = fleet.add_host(&customer, 2).await?;
    let truth = fleet.add_user("lara", PASSWORD, &Seed::new(Folders::Normal, 20))?;
    customer.submit(&host.submission("lara", PASSWORD)).await?;
    customer.wait_for("lara", "SUCCESS").await?;
    customer.submit_again("lara", "CUTOVER").await?;
    customer.wait_for("lara", "SUCCESS").await?;
    fleet.expect_mail("lara", &truth).await?;

    host.proxy.stall(true);
    fleet.add_user("lost", PASSWORD, &Seed::new(Folders::Inbox, 5))?;
    customer.submit(&host.submission("lost", PASSWORD)).await?;
    let backend = customer.wait_for("lost", "SYNC").await?["backend"].clone();
    let worker = fleet
        .workers()
        .iter()
        .find(|worker| backend.as_str().is_some_and(|name| name.ends_with(worker.name())));
    worker.context("a worker of the fleet")?.restart().await?;
    host.proxy.stall(false);
    customer.wait_for("lost", "SUCCESS").await?;

    // One whose port nobody hears any more.
    let gone = fleet.add_host(&customer, 2).await?;
    let (submission, name) = (gone.submission("nobody", PASSWORD), gone.name());
    drop(gone);
    customer.submit(&submission).await?;
    let path = format!("/sources/CustomerX/sourcehosts/{name}");
    poll_until("the host was not suspended", DEADLINE, async || {
        match fleet.api().admin(Method::GET, &path, None).await {
            Ok(answer) if answer.body["suspended"]["until"].is_string() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    customer.request(Method::DELETE, "/users/lost", None).await?.expect(204)?;
    let deletion = "/sources/CustomerX?force=true";
    poll_until("the Source was not deleted", DEADLINE, async || {
        match fleet.api().admin(Method::DELETE, deletion, None).await {
            Ok(answer) if matches!(answer.status, 204 | 404) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    Ok(())
}

/// What a stolen password of a worker is not good for.
async fn expect_refusals(lab: &Lab) -> Result<()> {
    let as_user = |user: &str, password: &str| {
        let address = lab.mariadb().addr();
        format!("mysql://{user}:{password}@{address}/migration")
    };
    let mut worker = MySqlConnection::connect(&as_user("dmf_worker", "change-me-2")).await?;
    for statement in [
        "DELETE FROM audit",
        "DELETE FROM sources",
        "INSERT INTO sources SELECT * FROM sources",
        "DROP TABLE leases",
        "CREATE TABLE mine (id INT)",
        "SELECT * FROM mysql.global_priv",
    ] {
        let refused = worker.execute(statement).await;
        assert!(refused.is_err(), "{statement}");
    }
    let mut scheduler = MySqlConnection::connect(&as_user("dmf_scheduler", "change-me-1")).await?;
    for statement in ["SELECT * FROM mysql.global_priv", "CREATE DATABASE other", "CREATE USER x"] {
        let refused = scheduler.execute(statement).await;
        assert!(refused.is_err(), "{statement}");
    }
    Ok(())
}

/// Runs commands of the document in a directory; only the accounts and ports are the lab's.
fn run_commands(lab: &Lab, dir: &Path, kind: &str) -> Result<()> {
    let cnf = dir.join("dmf.cnf");
    let (server, port) = (lab.mariadb(), lab.mariadb().addr().port());
    fs::write(
        &cnf,
        format!(
            "[client]\nhost=127.0.0.1\nport={port}\nuser={}\npassword={}\n",
            server.user(),
            server.password()
        ),
    )?;
    let script = block(kind)?
        .replace("/etc/dmf/backup.cnf", &cnf.display().to_string())
        .replace("redis-cli", &format!("redis-cli -p {}", lab.redis().addr().port()));
    let output = Command::new("bash").args(["-euo", "pipefail", "-c", &script]).current_dir(dir).output()?;
    ensure!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[tokio::test]
async fn a_backup_is_restored_and_all_goes_on() -> Result<()> {
    Fleet::builder()
        .run(async |fleet| {
            let dir = tempfile::tempdir()?;
            let (lab, customer) = (fleet.lab(), fleet.create_source("CustomerX").await?);
            let host = fleet.add_host(&customer, 1).await?;
            let mut truth = fleet.add_user("done", PASSWORD, &Seed::new(Folders::Normal, 20))?;
            customer.submit(&host.submission("done", PASSWORD)).await?;
            let done = customer.wait_for("done", "SUCCESS").await?;
            host.proxy.stall(true);
            for user in ["running", "waiting"] {
                fleet.add_user(user, PASSWORD, &Seed::new(Folders::Inbox, 5))?;
                customer.submit(&host.submission(user, PASSWORD)).await?;
            }
            customer.wait_for("running", "SYNC").await?;
            run_commands(lab, dir.path(), "sh backup")?;

            // What happens now is forgotten.
            fleet.add_user("forgotten", PASSWORD, &Seed::new(Folders::Inbox, 5))?;
            customer.submit(&host.submission("forgotten", PASSWORD)).await?;
            let (scheduler, worker) = (&fleet.schedulers()[0], &fleet.workers()[0]);
            worker.kill().await?;
            scheduler.stop().await?;
            run_commands(lab, dir.path(), "sh restore")?;
            scheduler.start()?;
            fleet.wait_for_scheduler(0).await?;
            worker.start()?;

            host.proxy.stall(false);
            for user in ["running", "waiting"] {
                customer.wait_for(user, "SUCCESS").await?;
            }
            assert_eq!(customer.latest("done").await?["stopped"], done["stopped"]);
            customer.request(Method::GET, "/users/forgotten", None).await?.expect(404)?;
            truth.add("INBOX", fleet.source().append("done", "INBOX", 3)?);
            customer.submit_again("done", "CUTOVER").await?;
            assert_eq!(customer.wait_for("done", "SUCCESS").await?["syncMessageCount"], 3);
            fleet.expect_mail("done", &truth).await
        })
        .await
}
