//! What becomes of proposals and leases once they are settled, or are not.

use std::time::Duration;

use dmf_lab::poll_until;
use dmf_shared::{
    domain::ids::{Epoch, HostId},
    queue::{Host, Job, JobState, Then},
};

use crate::{ALL, LONG, TARGET, built, ids, job, lab, propose, push, refuse, running, support::PATIENCE};

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
