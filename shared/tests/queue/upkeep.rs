//! What is done beside proposing: what is due, hosts that are gone, rebuilds, progress.

use std::time::Duration;

use dmf_lab::poll_until;
use dmf_shared::{
    domain::ids::{Epoch, HostId},
    queue::{Error, Free, Job, JobState, Progress, Then},
};

use crate::{
    ALL, LONG, TARGET, built, id, ids, job, lab, propose, push, refuse,
    support::{PATIENCE, queue},
};

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
