//! The queue's scripts on a real Redis.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use std::{collections::BTreeSet, time::Duration};

use apalis_core::{backend::TaskSink as _, task::builder::TaskBuilder};
use dmf_lab::{Lab, poll_until};
use dmf_shared::{
    domain::ids::{Epoch, HostId, JobId, JournalId, SourceId, TargetId},
    queue::{
        Error, Free, Hold, Host, Job, JobState, Producer, Progress, Proposal, Queue, Running, Settlement,
        Then,
    },
};
use futures::stream;
use support::{PATIENCE, queue};

const TARGET: TargetId = TargetId(1);
const LONG: Duration = Duration::from_mins(1);
const ALL: Free = Free { total: 1000, normal: 1000 };

async fn lab() -> Lab {
    Lab::builder().redis().start().await.unwrap()
}

fn id(n: u64) -> JobId {
    JobId { source: SourceId(1), journal: JournalId(n) }
}

fn job(n: u64, host: u32, priority: bool) -> Job {
    Job {
        job: id(n),
        state: JobState::Ready { after: Duration::ZERO },
        epoch: Epoch(0),
        target: TARGET,
        host: HostId(host),
        priority,
    }
}

fn running(n: u64, epoch: u64, host: u32) -> Running {
    Running { job: id(n), epoch: Epoch(epoch), host: HostId(host), target: TARGET, priority: false }
}

fn release(n: u64, epoch: u64, then: Then) -> Settlement {
    Settlement { job: id(n), hold: Hold::Lease(Epoch(epoch)), then }
}

fn refuse(proposal: &Proposal, then: Then) -> Settlement {
    Settlement { job: proposal.job, hold: Hold::Proposal(proposal.ticket), then }
}

async fn built(lab: &Lab, hosts: &[(u32, u32)]) -> Queue {
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

async fn push(queue: &Queue, jobs: &[Job]) {
    let tasks: Vec<_> = jobs.iter().map(|job| TaskBuilder::new(*job).build()).collect();
    Producer::new(queue.clone()).push_all(stream::iter(tasks)).await.unwrap();
}

async fn propose(queue: &Queue, total: u32) -> Vec<Proposal> {
    queue.propose(TARGET, Free { total, normal: total }, LONG).await.unwrap().jobs
}

fn ids(proposals: &[Proposal]) -> Vec<u64> {
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

#[tokio::test]
async fn a_proposal_that_nobody_settles_is_proposed_again_in_its_place() {
    let lab = lab().await;
    let queue = built(&lab, &[(1, 1)]).await;
    push(&queue, &[job(1, 1, false), job(2, 1, false)]).await;
    let short = Duration::from_millis(30);
    assert_eq!(ids(&queue.propose(TARGET, ALL, short).await.unwrap().jobs), [1]);
    let again = poll_until("the proposal expires", PATIENCE, async || {
        let proposed = propose(&queue, 10).await;
        if proposed.is_empty() { Err("nothing") } else { Ok(proposed) }
    });
    assert_eq!(ids(&again.await.unwrap()), [1]);
}

#[tokio::test]
async fn refused_jobs_go_where_the_refusal_says() {
    let lab = lab().await;
    let queue = built(&lab, &[(1, 9), (2, 9)]).await;
    push(&queue, &[job(1, 1, false), job(2, 1, false), job(3, 2, false)]).await;
    let first = propose(&queue, 1).await;
    assert_eq!(ids(&first), [1]);
    // The host is full for MariaDB: it leaves the rings, the other one goes on.
    queue.settle(&[refuse(&first[0], Then::Blocked)]).await.unwrap();
    assert_eq!(ids(&propose(&queue, 10).await), [3]);
    // Something of the host changes: it is back, each job in its place.
    queue.set_hosts(&[Host { host: HostId(1), limit: 9, reserved_for_priority: 0 }]).await.unwrap();
    let both = propose(&queue, 10).await;
    assert_eq!(ids(&both), [1, 2]);
    queue.settle(&[refuse(&both[1], Then::Ready)]).await.unwrap();
    let second = propose(&queue, 10).await;
    assert_eq!(ids(&second), [2]);
    let hour = Duration::from_hours(1);
    queue.settle(&[refuse(&second[0], Then::Delay(hour))]).await.unwrap();
    let proposals = queue.propose(TARGET, ALL, 2 * hour).await.unwrap();
    assert!(proposals.jobs.is_empty(), "{proposals:?}");
    assert!(proposals.next_timer.is_some_and(|timer| timer <= hour), "{proposals:?}");
}

#[tokio::test]
async fn a_delayed_job_comes_when_its_time_has_come() {
    let lab = lab().await;
    let queue = built(&lab, &[(1, 9)]).await;
    push(&queue, &[job(1, 1, false)]).await;
    let proposed = propose(&queue, 1).await;
    assert_eq!(ids(&proposed), [1]);
    queue.settle(&[refuse(&proposed[0], Then::Delay(Duration::from_millis(40)))]).await.unwrap();
    let due = poll_until("the delay ends", PATIENCE, async || {
        let proposed = propose(&queue, 10).await;
        if proposed.is_empty() { Err("nothing") } else { Ok(proposed) }
    });
    assert_eq!(ids(&due.await.unwrap()), [1]);
}

#[tokio::test]
async fn ended_jobs_leave_the_queue() {
    let lab = lab().await;
    let queue = built(&lab, &[(1, 9)]).await;
    let later = JobState::Ready { after: Duration::from_hours(1) };
    push(&queue, &[job(1, 1, false), job(2, 1, true), Job { state: later, ..job(3, 1, false) }]).await;
    let ended = |n| Job { state: JobState::Ended, epoch: Epoch(1), ..job(n, 1, false) };
    push(&queue, &[ended(1), ended(2), ended(3)]).await;
    let proposals = queue.propose(TARGET, ALL, LONG).await.unwrap();
    assert!(proposals.jobs.is_empty() && proposals.next_timer.is_none(), "{proposals:?}");
}

#[tokio::test]
async fn a_late_refusal_ends_no_newer_proposal() {
    let lab = lab().await;
    let queue = built(&lab, &[(1, 1)]).await;
    push(&queue, &[job(1, 1, false)]).await;
    let over = queue.propose(TARGET, ALL, Duration::ZERO).await.unwrap().jobs;
    let again = propose(&queue, 10).await;
    assert_eq!((ids(&over), ids(&again)), (vec![1], vec![1]));
    assert_eq!(queue.settle(&[refuse(&over[0], Then::Drop)]).await.unwrap(), 0);
    assert_eq!(queue.heartbeat(&[running(1, 1, 1)]).await.unwrap(), [true], "the newer one was claimed");
    assert_eq!(
        queue.settle(&[refuse(&again[0], Then::Ready)]).await.unwrap(),
        0,
        "and is no proposal any more"
    );
}

#[tokio::test]
async fn a_job_that_is_pushed_while_it_is_refused_is_not_forgotten() {
    let lab = lab().await;
    let queue = built(&lab, &[(1, 1)]).await;
    push(&queue, &[job(1, 1, false)]).await;
    let proposed = propose(&queue, 10).await;
    // The claim has seen a row that did not wait; now it does, and goes first.
    push(&queue, &[Job { epoch: Epoch(2), ..job(1, 1, true) }]).await;
    assert_eq!(queue.settle(&[refuse(&proposed[0], Then::Drop)]).await.unwrap(), 1);
    let again = propose(&queue, 10).await;
    assert_eq!((ids(&again), again[0].priority), (vec![1], true));
    // That was the last push: refused again, it is gone.
    queue.settle(&[refuse(&again[0], Then::Drop)]).await.unwrap();
    assert!(propose(&queue, 10).await.is_empty());
}

#[tokio::test]
async fn what_is_due_is_made_ready_though_no_worker_looks() {
    let lab = lab().await;
    let queue = built(&lab, &[(1, 2000)]).await;
    let soon = JobState::Ready { after: Duration::from_millis(1) };
    let jobs: Vec<_> = (1..=1200).map(|n| Job { state: soon, ..job(n, 1, false) }).collect();
    push(&queue, &jobs).await;
    let promoted = poll_until("all are due", PATIENCE, async || {
        queue.promote_due(&[TARGET]).await.unwrap();
        // One look promotes a hundred by itself at most.
        let waiting = queue.propose(TARGET, Free { total: 0, normal: 0 }, LONG).await.unwrap().next_timer;
        if waiting.is_none() { Ok(()) } else { Err("some are delayed") }
    });
    promoted.await.unwrap();
    assert_eq!(propose(&queue, 2000).await.len(), 1200);
}

#[tokio::test]
async fn a_host_that_is_gone_leaves_nothing_behind() {
    let lab = lab().await;
    let queue = built(&lab, &[(1, 1), (2, 1)]).await;
    let later = JobState::Ready { after: Duration::from_millis(1) };
    push(&queue, &[job(1, 1, false), job(2, 1, true), job(3, 1, false), job(4, 2, false)]).await;
    push(&queue, &[Job { state: later, ..job(5, 1, false) }]).await;
    let proposed = propose(&queue, 1).await;
    assert_eq!(ids(&proposed), [2]);
    queue.forget_hosts(&[HostId(1)]).await.unwrap();
    assert_eq!(queue.known_hosts().await.unwrap(), [HostId(2)]);
    // Neither what was held nor what was delayed comes back for it.
    queue.settle(&[refuse(&proposed[0], Then::Ready)]).await.unwrap();
    poll_until("nothing is delayed", PATIENCE, async || {
        queue.promote_due(&[TARGET]).await.unwrap();
        let timer = queue.propose(TARGET, Free { total: 0, normal: 0 }, LONG).await.unwrap().next_timer;
        if timer.is_none() { Ok(()) } else { Err("delayed") }
    })
    .await
    .unwrap();
    let client = redis::Client::open(lab.redis().url()).unwrap();
    let mut raw = client.get_multiplexed_async_connection().await.unwrap();
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut raw).await.unwrap();
    keys.sort_unstable();
    let of_host_2 = ["{dmf}:hq:2", "{dmf}:q:1:0:2", "{dmf}:ring:1:0"];
    let lasting = ["{dmf}:gen", "{dmf}:hosts", "{dmf}:pass", "{dmf}:seq"];
    let mut expected = [&of_host_2[..], &lasting[..]].concat();
    expected.sort_unstable();
    assert_eq!(keys, expected);
}

#[tokio::test]
async fn a_rebuild_that_is_given_up_is_taken_over_at_once() {
    let lab = lab().await;
    let queue = queue(&lab);
    let first = queue.begin_rebuild().await.unwrap().unwrap();
    assert!(queue.begin_rebuild().await.unwrap().is_none(), "the first one goes on");
    first.abandon().await.unwrap();
    assert!(matches!(queue.propose(TARGET, ALL, LONG).await, Err(Error::Rebuild)));
    let second = queue.begin_rebuild().await.unwrap().unwrap();
    second.finish().await.unwrap();
}

#[tokio::test]
async fn progress_is_replaced_by_its_worker_and_goes_with_it() {
    let lab = lab().await;
    let queue = queue(&lab);
    let progress = |saved| Progress {
        epoch: Epoch(3),
        step: "dsync".to_owned(),
        mailbox: Some("a:b \"ü\"".to_owned()),
        saved,
        expunged: 0,
    };
    queue.report_progress("t/one", &[(id(1), progress(1)), (id(2), progress(2))]).await.unwrap();
    queue.report_progress("t/one", &[(id(2), progress(5))]).await.unwrap();
    let told = queue.progress("t/one", &[id(1), id(2)]).await.unwrap();
    assert_eq!(told, [None, Some(progress(5))]);
    assert_eq!(queue.progress("t/other", &[id(2)]).await.unwrap(), [None]);
    queue.report_progress("t/one", &[]).await.unwrap();
    assert_eq!(queue.progress("t/one", &[id(2)]).await.unwrap(), [None]);
}
