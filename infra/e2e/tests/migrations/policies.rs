//! What follows from an outcome: the usual, what the settings say, and what the record tells of it.

use anyhow::{Result, ensure};
use dmf_e2e::Fleet;
use dmf_lab::{Folders, Seed};

use crate::{PASSWORD, block, wait_for};

#[tokio::test]
async fn a_policy_is_a_setting_and_stands_in_the_record() -> Result<()> {
    let settings = "dmf.worker.policy: { authentication: suspend-host }\n";
    Fleet::builder()
        .worker_settings(settings)
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let host = fleet.add_host(&customer, 2).await?;
            fleet.add_user("alice", PASSWORD, &Seed::new(Folders::Inbox, 1))?;
            customer.submit(&host.submission("alice", "wrong")).await?;
            let record = customer.wait_for("alice", "FAILURE").await?;
            let dsync = block(&record, "dsync")?;
            ensure!(dsync["outcome"] == "authentication" && dsync["policy"] == "suspend-host", "{dsync:#}");
            let told = format!("the source host {} is suspended until 2", host.name());
            ensure!(
                dsync["consequences"][0].as_str().is_some_and(|text| text.starts_with(&told)),
                "{dsync:#}"
            );
            let view = fleet.host_view(&customer, &host).await?;
            ensure!(view["suspended"]["until"].is_string(), "{view:#}");
            Ok(())
        })
        .await
}

/// The source's own limit: the migration waits in the queue, and its record says why and until when.
#[tokio::test]
async fn a_limit_of_the_source_backs_off_and_says_so() -> Result<()> {
    Fleet::builder()
        .max_userip_connections(1)
        .worker_settings("dmf.worker.suspend.limited: 2s\n")
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let host = fleet.add_host(&customer, 2).await?;
            let truth = fleet.add_user("alice", PASSWORD, &Seed::new(Folders::Inbox, 5))?;
            let taken = Session::open(fleet.source().addr(), "alice", PASSWORD)?;
            customer.submit(&host.submission("alice", PASSWORD)).await?;
            let record = wait_for(&customer, "alice", "was not handed back", |record| {
                record["status"] == "SCHEDULED" && block(record, "dsync").is_ok()
            })
            .await?;
            let dsync = block(&record, "dsync")?;
            ensure!(dsync["outcome"] == "limited" && dsync["policy"] == "back-off-host", "{dsync:#}");
            let told = dsync["consequences"].to_string();
            ensure!(told.contains("is suspended until") && told.contains("handed back"), "{told}");
            drop(taken);
            let done = customer.wait_for("alice", "SUCCESS").await?;
            ensure!(done["attempt"].as_u64() >= Some(2), "{done:#}");
            fleet.expect_mail("alice", &truth).await
        })
        .await
}

/// Somebody else's connection to the source; closed when dropped.
struct Session(#[allow(dead_code, reason = "holds the connection open")] std::net::TcpStream);

impl Session {
    fn open(addr: std::net::SocketAddr, user: &str, password: &str) -> Result<Self> {
        use std::io::{BufRead as _, BufReader, Write as _};
        let mut stream = std::net::TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(20)))?;
        let mut lines = BufReader::new(stream.try_clone()?);
        write!(stream, "a LOGIN {user} {password}\r\n")?;
        let mut line = String::new();
        while !line.starts_with("a ") {
            line.clear();
            ensure!(lines.read_line(&mut line)? > 0, "the source closed the connection");
        }
        ensure!(line.starts_with("a OK"), "{line}");
        Ok(Self(stream))
    }
}
