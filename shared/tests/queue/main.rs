//! The queue's scripts on a real Redis.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod settling;
#[path = "../support/mod.rs"]
mod support;
mod upkeep;

use std::{collections::BTreeSet, time::Duration};

use apalis_core::{backend::TaskSink as _, task::builder::TaskBuilder};
use dmf_lab::Lab;
use dmf_shared::{
    domain::ids::{Epoch, HostId, JobId, JournalId, SourceId, TargetId},
    queue::{Error, Free, Hold, Host, Job, JobState, Producer, Proposal, Queue, Running, Settlement, Then},
};
use futures::stream;
use support::queue;

pub(crate) const TARGET: TargetId = TargetId(1);
pub(crate) const LONG: Duration = Duration::from_mins(1);
pub(crate) const ALL: Free = Free { total: 1000, normal: 1000 };

pub(crate) async fn lab() -> Lab {
    Lab::builder().redis().start().await.unwrap()
}

pub(crate) fn id(n: u64) -> JobId {
    JobId { source: SourceId(1), journal: JournalId(n) }
}

pub(crate) fn job(n: u64, host: u32, priority: bool) -> Job {
    Job {
        job: id(n),
        state: JobState::Ready { after: Duration::ZERO },
        epoch: Epoch(0),
        target: TARGET,
        host: HostId(host),
        priority,
    }
}

pub(crate) fn running(n: u64, epoch: u64, host: u32) -> Running {
    Running { job: id(n), epoch: Epoch(epoch), host: HostId(host), target: TARGET, priority: false }
}

pub(crate) fn release(n: u64, epoch: u64, then: Then) -> Settlement {
    Settlement { job: id(n), hold: Hold::Lease(Epoch(epoch)), then }
}

pub(crate) fn refuse(proposal: &Proposal, then: Then) -> Settlement {
    Settlement { job: proposal.job, hold: Hold::Proposal(proposal.ticket), then }
}

pub(crate) async fn built(lab: &Lab, hosts: &[(u32, u32)]) -> Queue {
    let queue = queue(lab);
    let rebuild = queue.begin_rebuild().await.unwrap().unwrap();
    let hosts: Vec<_> = hosts
        .iter()
        .map(|(host, limit)| Host { host: HostId(*host), limit: *limit, reserved_for_priority: 0 })
        .collect();
    rebuild.load_hosts(&hosts).await.unwrap();
    rebuild.finish().await.unwrap();
    queue
}

pub(crate) async fn push(queue: &Queue, jobs: &[Job]) {
    let tasks: Vec<_> = jobs.iter().map(|job| TaskBuilder::new(*job).build()).collect();
    Producer::new(queue.clone()).push_all(stream::iter(tasks)).await.unwrap();
}

pub(crate) async fn propose(queue: &Queue, total: u32) -> Vec<Proposal> {
    queue.propose(TARGET, Free { total, normal: total }, LONG).await.unwrap().jobs
}

pub(crate) fn ids(proposals: &[Proposal]) -> Vec<u64> {
    proposals.iter().map(|proposal| proposal.job.journal.0).collect()
}

#[tokio::test]
async fn nothing_is_proposed_before_the_queue_is_built() {
    let lab = lab().await;
    let queue = queue(&lab);
    assert!(!queue.is_built().await.unwrap());
    assert!(matches!(queue.propose(TARGET, ALL, LONG).await, Err(Error::Rebuild)));
    let rebuild = queue.begin_rebuild().await.unwrap().unwrap();
    assert!(queue.begin_rebuild().await.unwrap().is_none(), "one rebuilds at a time");
    rebuild.load_hosts(&[Host { host: HostId(1), limit: 1, reserved_for_priority: 0 }]).await.unwrap();
    rebuild.load_jobs(&[job(1, 1, false)]).await.unwrap();
    assert!(matches!(queue.propose(TARGET, ALL, LONG).await, Err(Error::Rebuild)));
    rebuild.finish().await.unwrap();
    assert_eq!(ids(&propose(&queue, 10).await), [1]);
}

#[tokio::test]
async fn what_was_lost_is_found_out_and_a_late_loader_is_refused() {
    let lab = lab().await;
    let queue = built(&lab, &[(1, 5)]).await;
    lab.redis().kill().await.unwrap();
    lab.redis().start().await.unwrap();
    let first = queue.begin_rebuild().await.unwrap().unwrap();
    lab.redis().restart().await.unwrap();
    let second = queue.begin_rebuild().await.unwrap().unwrap();
    assert!(matches!(first.load_jobs(&[job(1, 1, false)]).await, Err(Error::Rebuild)));
    assert!(matches!(first.finish().await, Err(Error::Rebuild)));
    second.finish().await.unwrap();
    assert!(queue.is_built().await.unwrap());
}

#[tokio::test]
async fn a_host_is_never_proposed_beyond_its_limit() {
    let lab = lab().await;
    let queue = built(&lab, &[(1, 3)]).await;
    push(&queue, &(1..=10).map(|n| job(n, 1, false)).collect::<Vec<_>>()).await;
    let proposed = propose(&queue, 10).await;
    assert_eq!(ids(&proposed), [1, 2, 3]);
    assert!(propose(&queue, 10).await.is_empty());
    assert_eq!(queue.settle(&[refuse(&proposed[1], Then::Drop)]).await.unwrap(), 1);
    assert_eq!(queue.settle(&[refuse(&proposed[1], Then::Drop)]).await.unwrap(), 0, "settling is idempotent");
    assert_eq!(ids(&propose(&queue, 10).await), [4]);
    // A lower limit drains, a higher one opens.
    queue.set_hosts(&[Host { host: HostId(1), limit: 5, reserved_for_priority: 0 }]).await.unwrap();
    assert_eq!(ids(&propose(&queue, 10).await), [5, 6]);
    queue.set_hosts(&[Host { host: HostId(1), limit: 0, reserved_for_priority: 0 }]).await.unwrap();
    queue.settle(&[refuse(&proposed[0], Then::Drop), refuse(&proposed[2], Then::Drop)]).await.unwrap();
    assert!(propose(&queue, 10).await.is_empty());
}

#[tokio::test]
async fn a_saturated_host_delays_no_other_and_hosts_take_turns() {
    let lab = lab().await;
    let queue = built(&lab, &[(1, 1), (2, 100), (3, 100)]).await;
    let mut jobs: Vec<_> = (1..=1000).map(|n| job(n, 1, false)).collect();
    jobs.extend((2001..=2004).map(|n| job(n, 2, false)));
    jobs.extend((3001..=3004).map(|n| job(n, 3, false)));
    push(&queue, &jobs).await;
    let proposed = ids(&propose(&queue, 9).await);
    assert_eq!(proposed.iter().collect::<BTreeSet<_>>().len(), 9);
    assert_eq!(proposed.iter().filter(|n| **n <= 1000).count(), 1, "{proposed:?}");
    // In turn: of the first five, each host that has room got at least one, none more than two.
    for range in [2000..3000, 3000..4000] {
        let early = proposed[..5].iter().filter(|n| range.contains(*n)).count();
        assert_eq!(early, 2, "{proposed:?}");
    }
}

#[tokio::test]
async fn priority_jobs_come_first_over_all_hosts() {
    let lab = lab().await;
    let queue = built(&lab, &[(1, 5), (2, 5)]).await;
    push(&queue, &(1..=1000).map(|n| job(n, 1, false)).collect::<Vec<_>>()).await;
    push(&queue, &[job(5000, 1, true), job(5001, 2, true)]).await;
    let first: BTreeSet<_> = ids(&propose(&queue, 3).await)[..2].iter().copied().collect();
    assert_eq!(first, BTreeSet::from([5000, 5001]));
    // A waiting job that gains priority stands in one queue, and only there.
    push(&queue, &[job(900, 1, true)]).await;
    assert_eq!(ids(&propose(&queue, 1).await), [900]);
    let rest = ids(&propose(&queue, 100).await);
    assert!(!rest.contains(&900), "{rest:?}");
}

#[tokio::test]
async fn places_and_threads_are_kept_for_priority() {
    let lab = lab().await;
    let queue = built(&lab, &[]).await;
    queue.set_hosts(&[Host { host: HostId(1), limit: 3, reserved_for_priority: 1 }]).await.unwrap();
    push(&queue, &(1..=5).map(|n| job(n, 1, false)).collect::<Vec<_>>()).await;
    assert_eq!(ids(&propose(&queue, 10).await), [1, 2]);
    push(&queue, &[job(100, 1, true)]).await;
    assert_eq!(ids(&propose(&queue, 10).await), [100]);

    push(&queue, &[job(201, 9, false), job(202, 9, true)]).await;
    queue.set_hosts(&[Host { host: HostId(9), limit: 9, reserved_for_priority: 0 }]).await.unwrap();
    let proposals = queue.propose(TARGET, Free { total: 5, normal: 0 }, LONG).await.unwrap();
    assert_eq!(ids(&proposals.jobs), [202]);
}

#[tokio::test]
async fn pushing_again_changes_nothing() {
    let lab = lab().await;
    let queue = built(&lab, &[(1, 10)]).await;
    push(&queue, &[job(1, 1, false), job(2, 1, false)]).await;
    push(&queue, &[job(2, 1, false), job(1, 1, false)]).await;
    assert_eq!(ids(&propose(&queue, 10).await), [1, 2]);
    // Proposed or running: an old entry of the outbox does not bring it back.
    push(&queue, &[job(1, 1, false)]).await;
    queue.heartbeat(&[running(2, 1, 1)]).await.unwrap();
    push(&queue, &[job(2, 1, false)]).await;
    assert!(propose(&queue, 10).await.is_empty());
    // A higher epoch does, and frees the slot.
    push(&queue, &[Job { epoch: Epoch(2), ..job(2, 1, false) }]).await;
    assert_eq!(ids(&propose(&queue, 10).await), [2]);
}

#[tokio::test]
async fn only_the_newest_epoch_is_heard() {
    let lab = lab().await;
    let queue = built(&lab, &[(1, 1)]).await;
    push(&queue, &[job(1, 1, false), job(2, 1, false)]).await;
    propose(&queue, 10).await;
    assert_eq!(queue.heartbeat(&[running(1, 3, 1)]).await.unwrap(), [true]);
    assert_eq!(queue.heartbeat(&[running(1, 3, 1), running(1, 1, 1)]).await.unwrap(), [true, false]);
    assert_eq!(queue.settle(&[release(1, 1, Then::Drop)]).await.unwrap(), 0);
    assert!(propose(&queue, 10).await.is_empty(), "the slot is still taken");
    assert_eq!(queue.settle(&[release(1, 3, Then::Drop)]).await.unwrap(), 1);
    assert_eq!(ids(&propose(&queue, 10).await), [2]);
}

#[tokio::test]
async fn a_heartbeat_takes_its_slot_back_after_a_loss() {
    let lab = lab().await;
    let queue = queue(&lab);
    // Without `gen`: what runs, runs.
    assert_eq!(queue.heartbeat(&[running(1, 1, 1), running(2, 1, 1)]).await.unwrap(), [true, true]);
    let rebuild = queue.begin_rebuild().await.unwrap().unwrap();
    rebuild.load_hosts(&[Host { host: HostId(1), limit: 2, reserved_for_priority: 0 }]).await.unwrap();
    rebuild.load_jobs(&[job(3, 1, false)]).await.unwrap();
    rebuild.finish().await.unwrap();
    assert!(propose(&queue, 10).await.is_empty(), "both slots are taken");
    // A job that came back from an old dump while it runs is not proposed.
    push(&queue, &[job(4, 1, false)]).await;
    queue.heartbeat(&[running(4, 1, 1)]).await.unwrap();
    let settled = [release(1, 1, Then::Drop), release(2, 1, Then::Drop)];
    assert_eq!(queue.settle(&settled).await.unwrap(), 2);
    assert_eq!(ids(&propose(&queue, 10).await), [3]);
}
