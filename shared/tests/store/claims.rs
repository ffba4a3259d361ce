//! What a claim grants and refuses, and what a lease leaves.

use std::collections::BTreeSet;

use dmf_shared::{
    domain::{
        ids::{Epoch, JobId, JournalId, SourceId},
        migration::Status,
    },
    store::{ClaimRequest, Counts, Finish, Finished, HandBack, Refusal, Wanted},
};
use serde_json::json;
use sqlx::{Connection as _, MySqlConnection};

use crate::{
    beat_of, claim, granted, lab, refusal, submit, success,
    support::{add_host, register, scene},
};

#[tokio::test]
async fn a_migration_goes_from_submit_to_success() {
    let lab = lab().await;
    let scene = scene(&lab, 2).await;
    let job = submit(&scene, "alice").await;
    let claimed = granted(claim(&scene, &[job]).await).pop().unwrap();
    assert_eq!((claimed.job, claimed.epoch, claimed.user.source_uid.as_str()), (job, Epoch(1), "alice"));
    assert_eq!(refusal(&claim(&scene, &[job]).await, job), Some(Refusal::NotWaiting));

    let held = scene.store.heartbeat_leases(&scene.holder, &[(job, Epoch(1))]).await.unwrap();
    assert_eq!((held.len(), held[0].job, held[0].wanted), (1, job, Wanted::Run));
    assert_eq!(
        scene.store.finish(&scene.source, job, Epoch(1), &success()).await.unwrap(),
        Finished::Recorded
    );
    // The answer to a commit may never come: the same result again is found to stand, another one is not.
    assert_eq!(
        scene.store.finish(&scene.source, job, Epoch(1), &success()).await.unwrap(),
        Finished::Recorded
    );
    let failure = Finish { status: Status::Failure, ..success() };
    assert_eq!(
        scene.store.finish(&scene.source, job, Epoch(1), &failure).await.unwrap(),
        Finished::Superseded
    );

    let user = scene.store.user(&scene.source, "alice").await.unwrap().unwrap();
    let record = scene.store.latest_record(&scene.source, user.id).await.unwrap().unwrap();
    assert_eq!((record.status, record.sync_message_count), (Status::Success, Some(150)));
    assert_eq!(record.backend.as_deref(), Some("default/worker-1"));
    assert!(record.started.is_some() && record.stopped.is_some());
    assert!(scene.store.all_leases().await.unwrap().is_empty());
}

#[tokio::test]
async fn claims_of_many_workers_never_pass_the_limit() {
    let lab = lab().await;
    let scene = scene(&lab, 3).await;
    let mut jobs = Vec::new();
    for n in 0..24 {
        jobs.push(submit(&scene, &format!("user{n}")).await);
    }
    let mut holders = Vec::new();
    for n in 0..6 {
        holders.push(register(&scene.store, &format!("w{n}")).await);
    }
    let claims = holders.iter().zip(jobs.chunks(4)).map(|(holder, jobs)| {
        let requests: Vec<_> = jobs.iter().map(|job| ClaimRequest { job: *job, host: scene.host }).collect();
        let store = &scene.store;
        async move { store.claim(holder, &requests).await.unwrap() }
    });
    let claims = futures::future::join_all(claims).await;
    let granted: usize = claims.into_iter().map(|decisions| granted(decisions).len()).sum();
    assert_eq!((granted, scene.store.all_leases().await.unwrap().len()), (3, 3));
}

#[tokio::test]
async fn members_of_a_batch_are_judged_one_by_one() {
    let lab = lab().await;
    let scene = scene(&lab, 5).await;
    let other = add_host(&scene.store, &scene.source, "imap.two", 1).await;
    let good = submit(&scene, "good").await;
    let mut later = scene.submission("later");
    later.not_before = Some(time::macros::datetime!(2090-05-01 22:00 UTC));
    let later = scene.store.submit(&scene.source, &later).await.unwrap().record.id;
    let later = JobId { source: scene.source.id, journal: later };
    let gone = JobId { source: scene.source.id, journal: JournalId(999_999) };
    let unknown_source = JobId { source: SourceId(999), journal: JournalId(1) };
    let mut requests: Vec<_> =
        [good, later, gone, unknown_source].map(|job| ClaimRequest { job, host: scene.host }).to_vec();
    let wrong_host = submit(&scene, "wronghost").await;
    requests.push(ClaimRequest { job: wrong_host, host: other });
    let decisions = scene.store.claim(&scene.holder, &requests).await.unwrap();
    for job in [gone, unknown_source, wrong_host] {
        assert_eq!(refusal(&decisions, job), Some(Refusal::NotWaiting), "{job}");
    }
    assert!(matches!(refusal(&decisions, later), Some(Refusal::TooEarly { wait_ms }) if wait_ms > 3_500_000));
    assert_eq!(granted(decisions).iter().map(|claimed| claimed.job).collect::<Vec<_>>(), [good]);
}

#[tokio::test]
async fn a_handed_back_migration_waits_again_with_a_new_epoch() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let job = submit(&scene, "alice").await;
    claim(&scene, &[job]).await;
    let back = HandBack { attempt: Some(3), ..HandBack::default() };
    assert_eq!(scene.store.hand_back(&scene.source, job, Epoch(1), &back).await.unwrap(), Finished::Recorded);
    assert_eq!(
        scene.store.hand_back(&scene.source, job, Epoch(1), &back).await.unwrap(),
        Finished::Superseded
    );
    let claimed = granted(claim(&scene, &[job]).await).pop().unwrap();
    assert_eq!((claimed.epoch, claimed.attempt), (Epoch(3), 3));
    // The result of the first claim is worth nothing now.
    assert_eq!(
        scene.store.finish(&scene.source, job, Epoch(1), &success()).await.unwrap(),
        Finished::Superseded
    );
    assert_eq!(scene.store.all_leases().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_lease_has_done_stays_with_the_row_until_its_end() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let (store, source) = (&scene.store, &scene.source);
    let job = submit(&scene, "alice").await;
    claim(&scene, &[job]).await;
    let counts = Counts { sync_message_count: Some(5), sync_speed: Some(70), ..Counts::default() };
    let details = json!([{ "dsync": { "attempts": 1 } }]);
    let carried = json!({ "saved": { "INBOX": 5 } });
    let back = HandBack {
        attempt: Some(1),
        details: Some(details.clone()),
        counts,
        carried: Some(carried.clone()),
        ..HandBack::default()
    };
    store.hand_back(source, job, Epoch(1), &back).await.unwrap();
    let claimed = granted(claim(&scene, &[job]).await).pop().unwrap();
    assert_eq!((json!(claimed.blocks), claimed.carried), (details, Some(carried)));
    // While another attempt is on its way, nobody knows how much was moved.
    assert!(store.note_attempt(source, job, claimed.epoch, 2, &json!({})).await.unwrap());
    let user = claimed.user.id;
    let record = store.latest_record(source, user).await.unwrap().unwrap();
    assert_eq!((record.sync_message_count, record.sync_speed), (None, Some(70)));
    let finish = Finish { counts: Counts { sync_message_count: Some(9), ..Counts::default() }, ..success() };
    store.finish(source, job, claimed.epoch, &finish).await.unwrap();
    let record = store.latest_record(source, user).await.unwrap().unwrap();
    assert_eq!((record.sync_message_count, record.sync_speed), (Some(9), Some(70)));
}

#[tokio::test]
async fn nothing_starts_while_source_or_host_is_paused() {
    let lab = lab().await;
    let scene = scene(&lab, 5).await;
    let job = submit(&scene, "alice").await;
    scene.store.pause_source(scene.source.id, true).await.unwrap();
    assert_eq!(refusal(&claim(&scene, &[job]).await, job), Some(Refusal::Blocked));
    scene.store.next_outbox_batch(100).await.unwrap().done().await.unwrap();
    scene.store.pause_source(scene.source.id, false).await.unwrap();
    scene.store.pause_sourcehost(scene.host, true).await.unwrap();
    assert_eq!(refusal(&claim(&scene, &[job]).await, job), Some(Refusal::Blocked));
    assert_eq!(scene.store.next_outbox_batch(100).await.unwrap().hosts[0].limit, 0);
    scene.store.pause_sourcehost(scene.host, false).await.unwrap();
    assert_eq!(granted(claim(&scene, &[job]).await).len(), 1);
    // A limit below what runs admits nothing and kills nothing.
    let next = submit(&scene, "bob").await;
    scene.store.set_max_connections(scene.host, 1).await.unwrap();
    assert_eq!(refusal(&claim(&scene, &[next]).await, next), Some(Refusal::Blocked));
}

#[tokio::test]
async fn the_lease_of_a_deleted_backend_is_known_with_the_target_of_its_row() {
    let lab = lab().await;
    let scene = scene(&lab, 2).await;
    let (job, other_job) = (submit(&scene, "alice").await, submit(&scene, "bob").await);
    claim(&scene, &[job]).await;
    let mut other = MySqlConnection::connect(&lab.mariadb().url("migration")).await.unwrap();
    sqlx::raw_sql("DELETE FROM backends").execute(&mut other).await.unwrap();
    let second = register(&scene.store, "worker-2").await;
    let request = ClaimRequest { job: other_job, host: scene.host };
    scene.store.claim(&second, &[request]).await.unwrap();
    let leases = scene.store.all_leases().await.unwrap();
    let known: BTreeSet<_> = leases.iter().map(|lease| (lease.job, lease.host, lease.target)).collect();
    assert_eq!(known, [job, other_job].map(|job| (job, scene.host, scene.target)).into());
    let beats = scene.store.lease_beats().await.unwrap();
    assert!(beat_of(&beats, job).deadline.is_zero());
    assert_eq!(beat_of(&beats, other_job).deadline, std::time::Duration::from_secs(45));
}
