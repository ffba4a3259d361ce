//! What drifted apart comes together again.

use std::time::Duration;

use dmf_scheduler::reconciler::{Drift, Reconciler};
use dmf_shared::{
    domain::{
        ids::{Epoch, HostId, JobId, JournalId},
        migration::Status,
    },
    queue::{Free, Hold, Host, Running},
    store::{Counts, Finish},
};
use serde_json::json;

use crate::support::{Stage, add_host};

const NONE: Drift =
    Drift { forgotten: 0, missing_slots: 0, leaked_slots: 0, stuck_proposals: 0, gone_hosts: 0 };

fn reconciler(stage: &Stage) -> Reconciler {
    Reconciler::new(stage.store.clone(), stage.queue.clone())
}

fn success() -> Finish {
    Finish {
        status: Status::Success,
        details: json!([]),
        counts: Counts::default(),
        verification: None,
        attempt: 1,
    }
}

#[tokio::test]
async fn slots_are_repaired_once_two_rounds_have_seen_them() {
    let stage = Stage::built().await;
    let job = stage.submit("alice").await;
    let claimed = stage.claim(job).await;
    // A worker that died between its end and the release of its slot.
    let ended = JobId { source: stage.source.id, journal: JournalId(999) };
    let (epoch, host, target) = (Epoch(1), stage.host, stage.target);
    stage.queue.heartbeat(&[Running { job: ended, epoch, host, target, priority: false }]).await.unwrap();
    let mut reconciler = reconciler(&stage);
    reconciler.look_at_hosts().await.unwrap();
    assert_eq!(reconciler.drift(), NONE, "one round may have come between two steps of a worker");
    let slots = stage.queue.all_slots().await.unwrap();
    assert!(slots.contains_key(&ended) && !slots.contains_key(&job));
    reconciler.look_at_hosts().await.unwrap();
    assert_eq!(reconciler.drift(), Drift { missing_slots: 1, leaked_slots: 1, ..NONE });
    let slots = stage.queue.all_slots().await.unwrap();
    assert_eq!(slots[&job].hold, Hold::Lease(claimed.epoch));
    assert!(!slots.contains_key(&ended));
    reconciler.look_at_hosts().await.unwrap();
    assert_eq!(reconciler.drift(), Drift { missing_slots: 1, leaked_slots: 1, ..NONE }, "all is well");
}

#[tokio::test]
async fn what_starts_and_ends_between_two_rounds_is_no_drift() {
    let stage = Stage::built().await;
    let mut reconciler = reconciler(&stage);
    for user in ["alice", "bob", "carol"] {
        let job = stage.submit(user).await;
        let claimed = stage.claim(job).await;
        // Its slot is not there yet; in the next round its lease is not there any more.
        reconciler.look_at_hosts().await.unwrap();
        stage.store.finish(&stage.source, job, claimed.epoch, &success()).await.unwrap();
    }
    reconciler.look_at_hosts().await.unwrap();
    assert_eq!(reconciler.drift(), NONE);
    assert!(stage.queue.all_slots().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_host_that_is_gone_is_forgotten() {
    let stage = Stage::built().await;
    let gone = Host { host: HostId(4_000_000), limit: 1, reserved_for_priority: 0 };
    stage.queue.set_hosts(&[gone]).await.unwrap();
    let mut reconciler = reconciler(&stage);
    reconciler.look_at_hosts().await.unwrap();
    assert_eq!(reconciler.drift(), Drift { gone_hosts: 1, ..NONE });
    assert_eq!(stage.queue.known_hosts().await.unwrap(), [stage.host]);
}

#[tokio::test]
async fn one_slice_goes_over_many_sources() {
    let stage = Stage::built().await;
    let mut jobs = Vec::new();
    for n in 0..60_u8 {
        let name = format!("Source{n}");
        let source = stage.store.create_source(&name.parse().unwrap(), [100 + n; 32]).await.unwrap();
        let host = add_host(&stage.store, &source).await;
        // Every other one has nothing that waits.
        if n % 2 == 0 {
            jobs.push(stage.submit_to(&source, host, "alice").await);
        }
    }
    let mut reconciler = reconciler(&stage);
    // The rows are pushed, though nothing was relayed.
    for _ in 0..2 {
        reconciler.push_slice().await.unwrap();
    }
    assert_eq!(reconciler.drift(), Drift { forgotten: 30, ..NONE });
    // The round begins anew.
    jobs.push(stage.submit("bob").await);
    reconciler.push_slice().await.unwrap();
    assert_eq!(reconciler.drift(), Drift { forgotten: 31, ..NONE });
    reconciler.look_at_hosts().await.unwrap();
    let mut proposed: Vec<_> = stage.propose().await.iter().map(|proposal| proposal.job).collect();
    proposed.sort_unstable();
    jobs.sort_unstable();
    assert_eq!(proposed, jobs);
}

#[tokio::test]
async fn another_life_of_the_queue_is_looked_at_at_once() {
    let stage = Stage::built().await;
    let mut reconciler = reconciler(&stage);
    reconciler.tick().await.unwrap();
    let job = stage.submit("alice").await;
    // It comes back without the host and without the job, as an old dump does, and is thought to be whole.
    stage.lab.redis().restart().await.unwrap();
    let begun = dmf_lab::poll_until("Redis is back", crate::support::PATIENCE, async || {
        stage.queue.begin_rebuild().await
    });
    begun.await.unwrap().unwrap().finish().await.unwrap();
    reconciler.tick().await.unwrap();
    assert_eq!(reconciler.drift(), Drift { forgotten: 1, ..NONE });
    let proposed: Vec<_> = stage.propose().await.iter().map(|proposal| proposal.job).collect();
    assert_eq!(proposed, [job]);
}

#[tokio::test]
async fn one_scheduler_leads() {
    let stage = Stage::built().await;
    stage.submit("alice").await;
    let (mut first, mut second) = (reconciler(&stage), reconciler(&stage));
    first.tick().await.unwrap();
    second.tick().await.unwrap();
    assert_eq!((first.drift().forgotten, second.drift()), (1, NONE));
}

#[tokio::test]
async fn what_is_due_is_made_ready_though_every_worker_is_busy() {
    let stage = Stage::built().await;
    let job = stage.submit("alice").await;
    let claimed = stage.claim(job).await;
    let back = dmf_shared::store::HandBack { delay_ms: Some(1), ..Default::default() };
    stage.store.hand_back(&stage.source, job, claimed.epoch, &back).await.unwrap();
    dmf_scheduler::relay::relay_all(&stage.store, &stage.queue).await.unwrap();
    let mut reconciler = reconciler(&stage);
    dmf_lab::poll_until("its time comes", crate::support::PATIENCE, async || {
        reconciler.tick().await.unwrap();
        // A look without a free thread shows the timer that is left.
        let none = Free { total: 0, normal: 0 };
        let look = stage.queue.propose(stage.target, none, Duration::from_mins(1)).await.unwrap();
        look.next_timer.map_or(Ok(()), |timer| Err(format!("{timer:?}")))
    })
    .await
    .unwrap();
    assert_eq!(stage.propose().await.len(), 1);
}
