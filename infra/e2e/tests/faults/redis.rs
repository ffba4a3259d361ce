//! A Redis that forgets everything or the last things, or comes back with old ones.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::faults::Keys;
use dmf_e2e::{Fleet, LeaseSecs};
use dmf_lab::{Folders, Persistence, Proxy, Seed};

use crate::field::{Field, MORE_THAN_SILENCE, MORE_THAN_STEADY_SILENCE, PASSWORD, on_field, on_field_timed};

fn fleet() -> dmf_e2e::Builder {
    Fleet::builder().schedulers(2).workers(2)
}

/// A Redis that restarts, on a busy machine, must not cost a lease.
async fn on_steady_field(limit: usize, test: impl AsyncFnOnce(&Field<'_>) -> Result<()>) -> Result<()> {
    on_field_timed(fleet(), LeaseSecs::STEADY, limit, test).await
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
    on_steady_field(2, async |field| {
        field.submit_stalled(&["one", "two"]).await?;
        let member = field.books.lease("one").await?.context("no lease")?.member();
        for user in ["three", "four"] {
            field.submit(user).await?;
        }
        field.fleet.lab().mariadb().kill().await?;
        field.keys.flush_all().await?;
        // Heartbeats alone make the running ones known again, and keep their children alive.
        field.wait_for_beats_in_redis(&member, MORE_THAN_STEADY_SILENCE).await?;
        ensure!(!field.keys.is_built().await?, "rebuilt without MariaDB");
        field.fleet.lab().mariadb().start().await?;
        field.host.proxy.stall(false);
        expect_all(field, &["one", "two", "three", "four"]).await
    })
    .await
}

#[tokio::test]
async fn redis_restarts_empty_while_mariadb_restarts() -> Result<()> {
    on_steady_field(2, async |field| {
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
    on_steady_field(1, async |field| {
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
    on_steady_field(1, async |field| {
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

async fn run_id(field: &Field<'_>) -> Result<String> {
    let info: String = field.keys.command(&["INFO", "server"]).await?;
    let line = info.lines().find(|line| line.starts_with("run_id:"));
    Ok(line.context("no run_id")?.to_owned())
}

async fn wait_until_queued(field: &Field<'_>, count: usize) -> Result<()> {
    field
        .wait_until("the jobs did not come into the queue", async || {
            let mut waiting = 0;
            for queue in field.keys.command::<Vec<String>>(&["KEYS", &Keys::name("q:*")]).await? {
                waiting += field.keys.command::<usize>(&["ZCARD", &queue]).await?;
            }
            ensure!(waiting == count && field.books.outbox().await? == 0, "{waiting} wait");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn an_old_dump_starts_nothing_twice_and_costs_no_lease() -> Result<()> {
    const USERS: [&str; 6] = ["one", "two", "three", "four", "five", "six"];
    on_steady_field(2, async |field| {
        field.submit_stalled(&USERS[..2]).await?;
        for user in &USERS[2..] {
            field.submit(user).await?;
        }
        wait_until_queued(field, 4).await?;
        let redis = field.fleet.lab().redis();
        field.keys.command::<String>(&["SAVE"]).await?;
        let old = redis.copy_disk()?;
        field.host.proxy.stall(false);
        expect_all(field, &USERS).await?;
        // These run while Redis comes back as it was when they were not there.
        let truths = field.submit_stalled(&["running"]).await?;
        let (connections, before) = (field.host.proxy.total(), run_id(field).await?);
        redis.kill().await?;
        redis.start_with(&old).await?;
        ensure!(run_id(field).await? != before, "the same life of Redis");
        // Nobody is reaped by what was counted in another life of Redis.
        field.wait_for_beats_in_mariadb("running", MORE_THAN_STEADY_SILENCE).await?;
        // Behind the ghosts, which have to be refused before it is its turn.
        field.fleet.add_user("last", PASSWORD, &Seed::new(Folders::Inbox, 5))?;
        field.customer.submit(&field.host.submission("last", PASSWORD)).await?;
        field.expect_success(&truths).await?;
        expect_all(field, &["running", "last"]).await?;
        expect_all(field, &USERS).await?;
        let own = field.host.proxy.max_per_user().len();
        ensure!(own == 8 && field.host.proxy.total() <= connections + 4, "a ghost went to the source");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_redis_that_kept_everything_in_its_append_only_file_goes_on() -> Result<()> {
    let builder = fleet().redis(Persistence::AppendOnly);
    on_field_timed(builder, LeaseSecs::STEADY, 1, async |field| {
        let mut truths = field.submit_stalled(&["running"]).await?;
        truths.insert("waiting".into(), field.submit("waiting").await?);
        wait_until_queued(field, 1).await?;
        let before = run_id(field).await?;
        field.fleet.lab().redis().kill().await?;
        truths.insert("late".into(), field.submit("late").await?);
        field.fleet.lab().redis().start().await?;
        ensure!(run_id(field).await? != before, "the same life of Redis");
        ensure!(field.keys.is_built().await?, "the file was not loaded");
        field.wait_for_beats_in_mariadb("running", MORE_THAN_STEADY_SILENCE).await?;
        field.expect_success(&truths).await?;
        expect_all(field, &["running", "waiting", "late"]).await
    })
    .await
}

#[tokio::test]
async fn a_rebuild_forgets_nobody_who_is_submitted_meanwhile() -> Result<()> {
    on_steady_field(4, async |field| {
        let users: Vec<String> = (0..24).map(|number| format!("user{number}")).collect();
        let mut truths = BTreeMap::new();
        for (number, user) in (0..).zip(&users) {
            // Again and again in the middle of rebuilds.
            if number % 6 == 3 {
                field.keys.flush_all().await?;
            }
            let truth = field.fleet.add_user(user, PASSWORD, &Seed::new(Folders::Inbox, 2))?;
            field.customer.submit(&field.host.submission(user, PASSWORD)).await?;
            truths.insert(user.clone(), truth);
        }
        field.expect_success(&truths).await?;
        for user in &users {
            field.expect_undisturbed(user).await?;
        }
        Ok(())
    })
    .await
}

/// Gives Redis a replica behind a proxy, and waits until it follows.
async fn with_replica(field: &Field<'_>) -> Result<(Proxy, dmf_lab::Redis)> {
    let redis = field.fleet.lab().redis();
    let line = Proxy::start(redis.addr()).await?;
    let replica = redis.start_replica(line.addr()).await?;
    field
        .wait_until("the replica does not follow", async || {
            let info: String = field.keys.command(&["INFO", "replication"]).await?;
            ensure!(info.contains("state=online"), "{info}");
            Ok(())
        })
        .await?;
    Ok((line, replica))
}

#[tokio::test]
async fn a_redis_whose_replica_hears_nothing_keeps_no_child_alive() -> Result<()> {
    on_field(Fleet::builder().schedulers(2), 1, async |field| {
        let (line, _replica) = with_replica(field).await?;
        let truths = field.submit_stalled(&["one"]).await?;
        field.wait_for_log(field.worker(1), "has replicas").await?;
        let child = field.child_of("one").await?;
        line.stall(true);
        let mariadb = &field.fleet.links(field.worker(1)).mariadb;
        mariadb.cut().await?;
        field
            .wait_until("a Redis that may be split off keeps a child alive", async || {
                ensure!(!child.child.lives(), "{child:?}");
                Ok(())
            })
            .await?;
        mariadb.heal().await?;
        line.stall(false);
        field.expect_success(&truths).await
    })
    .await
}

#[tokio::test]
async fn a_redis_whose_replica_hears_everything_keeps_a_child_alive() -> Result<()> {
    on_field(Fleet::builder().schedulers(2), 1, async |field| {
        let (_line, _replica) = with_replica(field).await?;
        let truths = field.submit_stalled(&["one"]).await?;
        let member = field.books.lease("one").await?.context("no lease")?.member();
        field.wait_for_log(field.worker(1), "has replicas").await?;
        let mariadb = &field.fleet.links(field.worker(1)).mariadb;
        mariadb.cut().await?;
        field.wait_for_beats_in_redis(&member, MORE_THAN_SILENCE).await?;
        mariadb.heal().await?;
        field.expect_success(&truths).await?;
        field.expect_undisturbed("one").await
    })
    .await
}
