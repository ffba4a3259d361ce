//! A Redis that forgets everything or the last things, or comes back with old ones.

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::Fleet;
use dmf_e2e::faults::Keys;
use dmf_lab::{Folders, Seed};

use crate::field::{Field, MORE_THAN_SILENCE, PASSWORD, on_field};

fn fleet() -> dmf_e2e::Builder {
    Fleet::builder().schedulers(2).workers(2)
}

async fn expect_all(field: &Field<'_>, users: &[&str]) -> Result<()> {
    for user in users {
        field.customer.wait_for(user, "SUCCESS").await?;
        field.expect_undisturbed(user).await?;
    }
    Ok(())
}

#[tokio::test]
async fn redis_is_flushed_while_mariadb_is_down() -> Result<()> {
    on_field(fleet(), 2, async |field| {
        field.submit_stalled(&["one", "two"]).await?;
        let member = field.books.lease("one").await?.context("no lease")?.member();
        for user in ["three", "four"] {
            field.submit(user).await?;
        }
        field.fleet.lab().mariadb().kill().await?;
        field.keys.flush_all().await?;
        // Heartbeats alone make the running ones known again, and keep their children alive.
        field.wait_for_beats_in_redis(&member, MORE_THAN_SILENCE).await?;
        ensure!(!field.keys.is_built().await?, "rebuilt without MariaDB");
        field.fleet.lab().mariadb().start().await?;
        field.host.proxy.stall(false);
        expect_all(field, &["one", "two", "three", "four"]).await
    })
    .await
}

#[tokio::test]
async fn redis_restarts_empty_while_mariadb_restarts() -> Result<()> {
    on_field(fleet(), 2, async |field| {
        field.submit_stalled(&["one", "two"]).await?;
        field.submit("three").await?;
        let lab = field.fleet.lab();
        lab.mariadb().kill().await?;
        lab.redis().kill().await?;
        lab.redis().start().await?;
        lab.mariadb().start().await?;
        field.host.proxy.stall(false);
        expect_all(field, &["one", "two", "three"]).await
    })
    .await
}

#[tokio::test]
async fn a_rebuild_whose_scheduler_dies_is_taken_over() -> Result<()> {
    on_field(fleet(), 1, async |field| {
        field.submit_stalled(&["one"]).await?;
        field.submit("two").await?;
        // As somebody leaves it who dies in the middle: begun, and the right to go on about to end.
        field.keys.flush_all().await?;
        let (generation, rebuild) = (Keys::name("gen"), Keys::name("rebuild"));
        field.keys.command::<()>(&["SET", &generation, "building:dead"]).await?;
        field.keys.command::<()>(&["SET", &rebuild, "dead", "PX", "1500"]).await?;
        field
            .wait_until("nobody took the rebuild over", async || {
                ensure!(field.keys.is_built().await?, "not built");
                Ok(())
            })
            .await?;
        field.host.proxy.stall(false);
        expect_all(field, &["one", "two"]).await
    })
    .await
}

#[tokio::test]
async fn a_forgotten_job_and_a_forgotten_slot_come_back() -> Result<()> {
    on_field(fleet(), 1, async |field| {
        field.submit_stalled(&["running"]).await?;
        field.submit("waiting").await?;
        let id = field.books.row("waiting").await?.id;
        let lease = field.books.lease("running").await?.context("no lease")?;
        let (member, queue) =
            (format!("{}:{id}", lease.source_id), Keys::name(&format!("q:1:0:{}", lease.sourcehost_id)));
        field
            .wait_until("the job did not come into the queue", async || {
                let place: Option<String> = field.keys.command(&["ZSCORE", &queue, &member]).await?;
                place.context("not there").map(drop)
            })
            .await?;
        // The last writes are lost: the job's place and the running one's slot.
        let slots = Keys::name(&format!("slots:{}", lease.sourcehost_id));
        field.keys.command::<()>(&["DEL", &queue, &slots, &Keys::name("held")]).await?;
        field.wait_for_beats_in_redis(&lease.member(), 1).await?;
        field.host.proxy.stall(false);
        expect_all(field, &["running", "waiting"]).await
    })
    .await
}

#[tokio::test]
async fn an_old_dump_starts_nothing_twice() -> Result<()> {
    const USERS: [&str; 6] = ["one", "two", "three", "four", "five", "six"];
    on_field(fleet(), 2, async |field| {
        field.submit_stalled(&USERS[..2]).await?;
        for user in &USERS[2..] {
            field.submit(user).await?;
        }
        let lease = field.books.lease("one").await?.context("no lease")?;
        let queue = Keys::name(&format!("q:1:0:{}", lease.sourcehost_id));
        field
            .wait_until("the jobs did not come into the queue", async || {
                let waiting: usize = field.keys.command(&["ZCARD", &queue]).await?;
                ensure!(waiting == 4, "{waiting} wait");
                Ok(())
            })
            .await?;
        let old = field.keys.dump().await?;
        field.host.proxy.stall(false);
        expect_all(field, &USERS).await?;
        let connections = field.host.proxy.total();

        field.keys.restore(&old).await?;
        // Behind the ghosts, which have to be refused before it is its turn.
        field.fleet.add_user("last", PASSWORD, &Seed::new(Folders::Inbox, 5))?;
        field.customer.submit(&field.host.submission("last", PASSWORD)).await?;
        field.customer.wait_for("last", "SUCCESS").await?;
        expect_all(field, &USERS).await?;
        let own = field.host.proxy.max_per_user().len();
        ensure!(own == 7 && field.host.proxy.total() <= connections + 3, "a ghost went to the source");
        Ok(())
    })
    .await
}
