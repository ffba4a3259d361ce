//! Redis forgets everything: the queue is made again from MariaDB, and no migration is lost.

use anyhow::Result;
use dmf_e2e::{Customer, Fleet, SourceHost};
use dmf_lab::{Folders, Seed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PASSWORD: &str = "pw";
const USERS: usize = 12;

async fn flush_all(fleet: &Fleet) -> Result<()> {
    let mut redis = TcpStream::connect(fleet.lab().redis().addr()).await?;
    redis.write_all(b"FLUSHALL\r\n").await?;
    let mut answer = [0; 5];
    redis.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"+OK\r\n");
    Ok(())
}

/// A source host that lets nobody finish, with one migration running and the others waiting.
async fn submit_and_stall(fleet: &Fleet, customer: &Customer) -> Result<(SourceHost, Vec<String>)> {
    let host = fleet.add_host(customer, 1).await?;
    host.proxy.stall(true);
    let users: Vec<String> = (0..USERS).map(|n| format!("user{n}@example.com")).collect();
    for user in &users {
        fleet.add_user(user, PASSWORD, &Seed::new(Folders::Inbox, 5))?;
        customer.submit(&host.submission(user, PASSWORD)).await?;
    }
    customer.wait_for(&users[0], "SYNC").await?;
    Ok((host, users))
}

async fn expect_all_done(customer: &Customer, host: &SourceHost, users: &[String]) -> Result<()> {
    host.proxy.stall(false);
    for user in users {
        let record = customer.wait_for(user, "SUCCESS").await?;
        assert_eq!(record["attempt"], 1, "{user} was run more than once");
    }
    assert!(host.proxy.max_open() <= host.limit, "the limit was passed while Redis knew nothing");
    assert!(host.proxy.overlaps().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_flushed_queue_is_made_again() -> Result<()> {
    Fleet::builder()
        .schedulers(2)
        .workers(2)
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let (host, users) = submit_and_stall(fleet, &customer).await?;
            flush_all(fleet).await?;
            expect_all_done(&customer, &host, &users).await
        })
        .await
}

#[tokio::test]
async fn an_empty_restart_is_survived() -> Result<()> {
    Fleet::builder()
        .schedulers(2)
        .workers(2)
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let (host, mut users) = submit_and_stall(fleet, &customer).await?;
            let redis = fleet.lab().redis();
            redis.kill().await?;
            // A submit needs no Redis.
            let late = "late@example.com";
            fleet.add_user(late, PASSWORD, &Seed::new(Folders::Inbox, 5))?;
            customer.submit(&host.submission(late, PASSWORD)).await?;
            users.push(late.to_owned());
            redis.start().await?;
            expect_all_done(&customer, &host, &users).await
        })
        .await
}
