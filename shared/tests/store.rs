//! The store on a real MariaDB.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use std::collections::BTreeSet;

use dmf_lab::Lab;
use dmf_shared::{
    domain::{
        ids::{Epoch, JobId, JournalId, SourceId},
        migration::{Phase, Status},
    },
    store::{
        BulkAccepted, Cancelled, ClaimRequest, Claimed, Closed, Counts, Decision, Finish, Finished, HandBack,
        Hook, HostRow, LeaseBeat, Reaped, Refusal, Submission, SubmitError, UserFields, Wanted,
    },
};
use serde_json::json;
use sqlx::{Connection as _, MySqlConnection};
use support::{Scene, add_host, options, register, scene};

async fn lab() -> Lab {
    Lab::builder().mariadb().start().await.unwrap()
}

async fn submit(scene: &Scene, uid: &str) -> JobId {
    let submitted = scene.store.submit(&scene.source, &scene.submission(uid)).await.unwrap();
    JobId { source: scene.source.id, journal: submitted.record.id }
}

async fn claim(scene: &Scene, jobs: &[JobId]) -> Vec<Decision> {
    let requests: Vec<_> = jobs.iter().map(|job| ClaimRequest { job: *job, host: scene.host }).collect();
    scene.store.claim(&scene.holder, &requests).await.unwrap()
}

fn granted(decisions: Vec<Decision>) -> Vec<Claimed> {
    decisions
        .into_iter()
        .filter_map(|decision| match decision {
            Decision::Granted(claimed) => Some(*claimed),
            Decision::Refused(..) => None,
        })
        .collect()
}

fn refusal(decisions: &[Decision], wanted: JobId) -> Option<Refusal> {
    decisions.iter().find_map(|decision| match decision {
        Decision::Refused(job, refusal) if *job == wanted => Some(*refusal),
        _ => None,
    })
}

fn success() -> Finish {
    Finish {
        status: Status::Success,
        details: json!([{ "dsync": { "success": true } }]),
        counts: Counts { sync_message_count: Some(150), ..Counts::default() },
        verification: None,
        attempt: 1,
    }
}

#[tokio::test]
async fn a_migration_that_was_cut_off_is_run_again() {
    let lab = lab().await;
    let store = support::store(&lab).await;
    let mut connection = MySqlConnection::connect(&lab.mariadb().url("migration")).await.unwrap();
    // What a run leaves behind whose connection is lost after its first tables.
    for statement in
        ["UPDATE _sqlx_migrations SET success = FALSE WHERE version = 1", "DROP TABLE host_troubles, outbox"]
    {
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    }
    store.migrate().await.unwrap();
    let unfinished = "SELECT version FROM _sqlx_migrations WHERE NOT success";
    assert!(sqlx::raw_sql(unfinished).fetch_all(&mut connection).await.unwrap().is_empty());
    sqlx::raw_sql("SELECT 1 FROM host_troubles, outbox").fetch_all(&mut connection).await.unwrap();
}

#[tokio::test]
async fn schedulers_that_start_together_make_one_schema() {
    let lab = lab().await;
    let options = options(&lab, 4);
    let start = async || {
        dmf_shared::store::Store::create_database(&options).await.unwrap();
        let store = dmf_shared::store::Store::connect_lazily(&options);
        store.migrate().await.unwrap();
        store
    };
    let (a, b, c) = tokio::join!(start(), start(), start());
    a.create_source(&"One".parse().unwrap(), [1; 32]).await.unwrap();
    assert!(
        b.create_source(&"ONE".parse().unwrap(), [2; 32]).await.unwrap_err().is_conflict_on("sources_name")
    );
    assert!(
        c.create_source(&"Two".parse().unwrap(), [1; 32])
            .await
            .unwrap_err()
            .is_conflict_on("sources_api_key_hash")
    );
    c.migrate().await.unwrap();
    assert_eq!(b.source_by_api_key([1; 32]).await.unwrap().unwrap().name.as_str(), "One");
}

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
async fn a_second_submit_is_refused_while_the_first_is_open() {
    let lab = lab().await;
    let scene = scene(&lab, 2).await;
    let job = submit(&scene, "alice").await;
    let again = Submission { user: UserFields::default(), ..scene.submission("alice") };
    let refused = scene.store.submit(&scene.source, &again).await.unwrap_err();
    assert!(matches!(refused, SubmitError::Open(id) if id == job.journal), "{refused:?}");
}

#[tokio::test]
async fn submits_of_one_new_user_at_the_same_moment_make_one_migration() {
    let lab = lab().await;
    let scene = scene(&lab, 2).await;
    let submission = scene.submission("twin");
    let submits = (0..8).map(|_| scene.store.submit(&scene.source, &submission));
    let results = futures::future::join_all(submits).await;
    let created = results.iter().filter(|result| result.is_ok()).count();
    let open = results.iter().filter(|result| matches!(result, Err(SubmitError::Open(_)))).count();
    assert_eq!((created, open), (1, 7), "{results:?}");
}

#[tokio::test]
async fn a_target_uid_belongs_to_one_user_in_any_case() {
    let lab = lab().await;
    let scene = scene(&lab, 2).await;
    submit(&scene, "alice").await;
    let mut other = scene.submission("other");
    other.user.target_uid = Some("ALICE".to_owned());
    let refused = scene.store.submit(&scene.source, &other).await.unwrap_err();
    assert!(matches!(refused, SubmitError::TargetUidTaken), "{refused:?}");
    // Nothing of the refused submission stays.
    assert!(scene.store.user(&scene.source, "other").await.unwrap().is_none());
}

#[tokio::test]
async fn uids_differ_by_case_and_by_trailing_space() {
    let lab = lab().await;
    let scene = scene(&lab, 2).await;
    for (source_uid, target_uid) in [("a", "t1"), ("A", "t2"), ("a ", "t3")] {
        let mut submission = scene.submission(source_uid);
        submission.user.target_uid = Some(target_uid.to_owned());
        scene.store.submit(&scene.source, &submission).await.unwrap();
    }
    let user = scene.store.user(&scene.source, "a ").await.unwrap().unwrap();
    assert_eq!(user.target_uid, "t3");
}

#[tokio::test]
async fn a_new_user_needs_its_place() {
    let lab = lab().await;
    let scene = scene(&lab, 2).await;
    let bare = Submission { user: UserFields::default(), ..scene.submission("new") };
    let refused = scene.store.submit(&scene.source, &bare).await.unwrap_err();
    assert!(
        matches!(&refused, SubmitError::Missing(fields) if fields == &["targetUid", "target", "sourcehost"]),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_cutover_that_succeeded_is_protected() {
    let lab = lab().await;
    let scene = scene(&lab, 2).await;
    let cutover = Submission { phase: Phase::Cutover, ..scene.submission("alice") };
    let id = scene.store.submit(&scene.source, &cutover).await.unwrap().record.id;
    let job = JobId { source: scene.source.id, journal: id };
    claim(&scene, &[job]).await;
    scene.store.finish(&scene.source, job, Epoch(1), &success()).await.unwrap();
    let refused = scene.store.submit(&scene.source, &scene.submission("alice")).await.unwrap_err();
    assert!(matches!(refused, SubmitError::CutOver(cutover) if cutover == id), "{refused:?}");
    let forced = Submission { force: true, ..scene.submission("alice") };
    scene.store.submit(&scene.source, &forced).await.unwrap();
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
async fn a_closed_migration_keeps_its_lease_until_its_child_is_dead() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let job = submit(&scene, "alice").await;
    claim(&scene, &[job]).await;
    let user = scene.store.user(&scene.source, "alice").await.unwrap().unwrap();
    let closed = scene.store.close_latest(&scene.source, user.id, Status::Aborted).await.unwrap();
    assert_eq!(closed, Closed::Done(job.journal));
    let again = scene.store.close_latest(&scene.source, user.id, Status::Failure).await.unwrap();
    assert_eq!(again, Closed::AlreadyEnded(job.journal, Status::Aborted));

    let held = scene.store.heartbeat_leases(&scene.holder, &[(job, Epoch(1))]).await.unwrap();
    assert_eq!(held[0].wanted, Wanted::Close);
    // The user may submit again, but does not run while the old child may live.
    let next = submit(&scene, "alice").await;
    assert!(matches!(refusal(&claim(&scene, &[next]).await, next), Some(Refusal::TooEarly { .. })));
    assert_eq!(
        scene.store.finish(&scene.source, job, Epoch(1), &success()).await.unwrap(),
        Finished::Superseded
    );
    assert_eq!(granted(claim(&scene, &[next]).await).len(), 1);
}

#[tokio::test]
async fn the_outbox_names_each_change_once_and_survives_a_relay_that_dies() {
    let lab = lab().await;
    let scene = scene(&lab, 2).await;
    let job = submit(&scene, "alice").await;
    let batch = scene.store.next_outbox_batch(100).await.unwrap();
    assert_eq!(batch.hosts, [HostRow { host: scene.host, limit: 2, reserved_for_priority: 0 }]);
    assert_eq!(batch.jobs.iter().map(|row| row.job).collect::<Vec<_>>(), [job]);
    // What one relay holds no other sees; when it dies, the next one does.
    assert!(scene.store.next_outbox_batch(100).await.unwrap().is_empty());
    drop(batch);
    let seen = dmf_lab::poll_until("the entries are free again", support::PATIENCE, async || {
        let batch = scene.store.next_outbox_batch(100).await.map_err(|error| error.to_string())?;
        if batch.len() == 2 { Ok(batch) } else { Err(format!("{} entries", batch.len())) }
    });
    seen.await.unwrap().done().await.unwrap();
    assert!(scene.store.next_outbox_batch(100).await.unwrap().is_empty());
}

#[tokio::test]
async fn pages_of_waiting_migrations_hold_each_once() {
    let lab = lab().await;
    let scene = scene(&lab, 2).await;
    let mut expected = BTreeSet::new();
    for n in 0..7 {
        expected.insert(submit(&scene, &format!("user{n}")).await);
    }
    let mut seen = BTreeSet::new();
    let mut after = JournalId(0);
    loop {
        let page = scene.store.waiting_jobs(&scene.source, after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.job.journal;
        for row in page {
            assert!(seen.insert(row.job));
        }
    }
    assert_eq!(seen, expected);
}

fn beat_of(beats: &[LeaseBeat], job: JobId) -> LeaseBeat {
    *beats.iter().find(|beat| beat.job == job).unwrap()
}

#[tokio::test]
async fn a_lost_migration_waits_again_and_is_given_up_after_too_many_losses() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let job = submit(&scene, "alice").await;
    for loss in 1..=3 {
        let claimed = granted(claim(&scene, &[job]).await).pop().unwrap();
        assert_eq!((claimed.losses, claimed.blocks.len()), (loss - 1, loss as usize - 1));
        let lease = beat_of(&scene.store.lease_beats().await.unwrap(), job);
        // Whoever still beats is not reaped.
        scene.store.heartbeat_leases(&scene.holder, &[(job, claimed.epoch)]).await.unwrap();
        assert_eq!(scene.store.reap(&scene.source, &lease, 3).await.unwrap(), Reaped::Nothing);
        let lease = beat_of(&scene.store.lease_beats().await.unwrap(), job);
        let expected = if loss == 3 { Status::Failure } else { Status::Scheduled };
        assert_eq!(scene.store.reap(&scene.source, &lease, 3).await.unwrap(), Reaped::Done(expected));
        assert_eq!(scene.store.reap(&scene.source, &lease, 3).await.unwrap(), Reaped::Nothing);
        let late = scene.store.finish(&scene.source, job, claimed.epoch, &success()).await.unwrap();
        assert_eq!(late, Finished::Superseded);
    }
    let user = scene.store.user(&scene.source, "alice").await.unwrap().unwrap();
    let record = scene.store.latest_record(&scene.source, user.id).await.unwrap().unwrap();
    let blocks = record.details.unwrap();
    assert_eq!(blocks.as_array().map(Vec::len), Some(3), "{blocks}");
    assert_eq!(blocks[0]["lost"]["backend"], "default/worker-1");
}

#[tokio::test]
async fn a_cancelled_migration_does_not_run_again() {
    let lab = lab().await;
    let scene = scene(&lab, 2).await;
    let (waiting, running) = (submit(&scene, "waiting").await, submit(&scene, "running").await);
    claim(&scene, &[running]).await;
    let id_of = async |uid: &str| scene.store.user(&scene.source, uid).await.unwrap().unwrap().id;
    let cancel = async |uid: &str| scene.store.cancel_latest(&scene.source, id_of(uid).await).await.unwrap();
    assert_eq!(cancel("waiting").await, Cancelled::Done(waiting.journal));
    assert_eq!(cancel("waiting").await, Cancelled::AlreadyEnded(waiting.journal, Status::Aborted));
    assert_eq!(refusal(&claim(&scene, &[waiting]).await, waiting), Some(Refusal::NotWaiting));

    assert_eq!(cancel("running").await, Cancelled::Requested(running.journal));
    let held = scene.store.heartbeat_leases(&scene.holder, &[(running, Epoch(1))]).await.unwrap();
    assert_eq!(held[0].wanted, Wanted::Cancel);
    // Its worker dies before it obeys.
    let lease = beat_of(&scene.store.lease_beats().await.unwrap(), running);
    assert_eq!(scene.store.reap(&scene.source, &lease, 3).await.unwrap(), Reaped::Done(Status::Aborted));
}

#[tokio::test]
async fn an_answered_cancel_beats_the_result_that_comes_after_it() {
    let lab = lab().await;
    let scene = scene(&lab, 9).await;
    let cancelled = async |uid: &str, hooks: &[Hook]| {
        let job = submit(&scene, uid).await;
        claim(&scene, &[job]).await;
        for hook in hooks {
            assert!(scene.store.note_hook(&scene.source, job, Epoch(1), *hook).await.unwrap());
        }
        let user = scene.store.user(&scene.source, uid).await.unwrap().unwrap().id;
        let answer = scene.store.cancel_latest(&scene.source, user).await.unwrap();
        assert_eq!(answer, Cancelled::Requested(job.journal));
        (job, user)
    };
    let finish = async |job, end| {
        let finish = Finish { status: end, ..success() };
        scene.store.finish(&scene.source, job, Epoch(1), &finish).await.unwrap()
    };
    let status = async |user| scene.store.latest_record(&scene.source, user).await.unwrap().unwrap().status;

    for (uid, end) in [("done", Status::Success), ("failed", Status::Failure)] {
        let (job, user) = cancelled(uid, &[]).await;
        // The answer to a commit may never come.
        for _ in 0..2 {
            assert_eq!(finish(job, end).await, Finished::Cancelled);
            assert_eq!(status(user).await, Status::Aborted);
        }
    }
    // The user is on the target, and it can't be taken back.
    let (job, user) = cancelled("let-in", &[Hook::Pre, Hook::Post]).await;
    assert_eq!(finish(job, Status::Success).await, Finished::Recorded);
    assert_eq!(status(user).await, Status::Success);

    // The user is locked out, so a worker runs the failure command first.
    let (job, user) = cancelled("locked-out", &[Hook::Pre]).await;
    assert_eq!(finish(job, Status::Success).await, Finished::Cancelled);
    assert_eq!(status(user).await, Status::Scheduled);
    let again = granted(claim(&scene, &[job]).await).pop().unwrap();
    assert_eq!((again.epoch, again.cleanup), (Epoch(3), Some(Status::Aborted)));
    assert!(scene.store.all_leases().await.unwrap().len() == 1, "a lease of an ended migration stays");
}

#[tokio::test]
async fn the_lease_of_a_closed_record_is_reaped_without_touching_it() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let job = submit(&scene, "alice").await;
    claim(&scene, &[job]).await;
    let user = scene.store.user(&scene.source, "alice").await.unwrap().unwrap();
    scene.store.close_latest(&scene.source, user.id, Status::Success).await.unwrap();
    let lease = beat_of(&scene.store.lease_beats().await.unwrap(), job);
    assert_eq!(scene.store.reap(&scene.source, &lease, 3).await.unwrap(), Reaped::LeaseOnly);
    let record = scene.store.latest_record(&scene.source, user.id).await.unwrap().unwrap();
    assert_eq!(record.status, Status::Success);
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
async fn a_start_far_in_the_future_is_kept() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let not_before = time::macros::datetime!(2090-05-01 22:00 UTC);
    let later = Submission { not_before: Some(not_before), ..scene.submission("alice") };
    let record = scene.store.submit(&scene.source, &later).await.unwrap().record;
    assert_eq!(record.not_before, Some(not_before));
}

#[tokio::test]
async fn a_source_that_is_there_has_its_tables_however_often_its_creation_was_cut_off() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let name: dmf_shared::domain::ids::SourceName = "Cut".parse().unwrap();
    for micros in (0..6_000).step_by(200) {
        let created = scene.store.create_source(&name, [9; 32]);
        let cut = tokio::time::timeout(std::time::Duration::from_micros(micros), created).await;
        for source in scene.store.sources().await.unwrap() {
            scene.store.source_view(source).await.unwrap();
        }
        if let Ok(Ok(_)) = cut {
            break;
        }
    }
    match scene.store.create_source(&name, [9; 32]).await {
        Ok(_) => {}
        Err(error) => assert!(error.is_conflict_on("sources_name"), "{error:?}"),
    }
}

#[tokio::test]
async fn a_source_host_goes_before_its_users_come_or_stays() {
    let lab = lab().await;
    let scene = scene(&lab, 2).await;
    for round in 0..60 {
        let uid = format!("u{round}");
        let host = add_host(&scene.store, &scene.source, &uid, 1).await;
        let mut submission = scene.submission(&uid);
        submission.user.sourcehost = Some(host);
        let submit = async {
            // Now this one is first, now that.
            tokio::time::sleep(std::time::Duration::from_micros(round * 50)).await;
            if round % 2 == 0 {
                scene.store.submit(&scene.source, &submission).await.map(|_| ())
            } else {
                let answers = scene.store.submit_batch(&scene.source, &[submission], false).await.unwrap();
                answers.into_iter().next().unwrap().map(|_| ())
            }
        };
        let (submitted, deleted) = tokio::join!(submit, scene.store.delete_sourcehost(&scene.source, host));
        let deleted = deleted.unwrap();
        match submitted {
            Ok(()) => assert!(!deleted),
            Err(SubmitError::Gone(field)) => assert_eq!(field, "sourcehost"),
            Err(error) => panic!("{error}"),
        }
        let left = scene.store.sourcehost_id(scene.source.id, &uid).await.unwrap();
        let user = scene.store.user(&scene.source, &uid).await.unwrap();
        assert_eq!((left.is_some(), user.is_some()), (!deleted, !deleted), "round {round}");
    }
}

#[tokio::test]
async fn a_target_that_is_gone_refuses_one_line_of_a_batch() {
    let lab = lab().await;
    let scene = scene(&lab, 2).await;
    let west = scene.store.create_target("west").await.unwrap();
    let (mut lost, kept) = (scene.submission("lost"), scene.submission("kept"));
    lost.user.target = Some(west.id);
    assert!(scene.store.delete_target(west.id).await.unwrap());
    let alone = scene.store.submit(&scene.source, &lost).await.unwrap_err();
    assert!(matches!(alone, SubmitError::Gone("target")), "{alone}");
    let answers = scene.store.submit_batch(&scene.source, &[lost, kept], false).await.unwrap();
    assert!(
        matches!(answers[..], [Err(SubmitError::Gone("target")), Ok(BulkAccepted::Created(_))]),
        "{answers:?}"
    );
}

#[tokio::test]
async fn a_connection_that_does_not_get_over_a_cut_off_call_is_replaced() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let mut other = MySqlConnection::connect(&lab.mariadb().url("migration")).await.unwrap();
    sqlx::raw_sql("LOCK TABLES sources WRITE").execute(&mut other).await.unwrap();
    let one = dmf_shared::store::Store::connect_lazily(&options(&lab, 1));
    let cut = tokio::time::timeout(std::time::Duration::from_millis(100), one.sources()).await;
    assert!(cut.is_err(), "{cut:?}");
    // The only connection waits for the table still, longer than a caller waits for one.
    one.version().await.unwrap();
    sqlx::raw_sql("UNLOCK TABLES").execute(&mut other).await.unwrap();
    assert_eq!(one.sources().await.unwrap().len(), 1);
    assert_eq!(scene.store.sources().await.unwrap().len(), 1);
}

#[tokio::test]
async fn states_of_the_server_that_pass_throw_no_result_away() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let job = submit(&scene, "alice").await;
    claim(&scene, &[job]).await;
    let mut other = MySqlConnection::connect(&lab.mariadb().url("migration")).await.unwrap();
    for number in [1021, 1114, 1030, 1041, 1135, 1180, 1969, 1129] {
        let trigger = format!(
            "CREATE OR REPLACE TRIGGER full BEFORE UPDATE ON journalCustomerX FOR EACH ROW
             SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {number}"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(trigger)).execute(&mut other).await.unwrap();
        let error = scene.store.finish(&scene.source, job, Epoch(1), &success()).await.unwrap_err();
        assert!(error.is_transient(), "{number}: {error:?}");
    }
    let refused = "CREATE OR REPLACE TRIGGER full BEFORE UPDATE ON journalCustomerX FOR EACH ROW
         SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1406";
    sqlx::raw_sql(refused).execute(&mut other).await.unwrap();
    let error = scene.store.finish(&scene.source, job, Epoch(1), &success()).await.unwrap_err();
    assert!(!error.may_pass(), "{error:?}");
    sqlx::raw_sql("DROP TRIGGER full").execute(&mut other).await.unwrap();
    let finished = scene.store.finish(&scene.source, job, Epoch(1), &success()).await.unwrap();
    assert_eq!(finished, Finished::Recorded);
}

#[tokio::test]
async fn a_login_that_is_refused_may_pass_for_who_was_let_in_before() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let mut other = MySqlConnection::connect(&lab.mariadb().url("migration")).await.unwrap();
    let lock = "ALTER USER 'dmf'@'127.0.0.1' IDENTIFIED BY 'another'";
    sqlx::raw_sql(lock).execute(&mut other).await.unwrap();
    let late = dmf_shared::store::Store::connect_lazily(&options(&lab, 1));
    let error = late.sources().await.unwrap_err();
    assert!(error.may_pass() && !error.is_transient(), "{error:?}");
    scene.store.sources().await.unwrap();
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

#[tokio::test]
async fn another_life_of_the_server_is_told() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let (first, _) = scene.store.watch_leases().await.unwrap();
    // Its start is told in whole seconds, and the same in each of them.
    let later = dmf_lab::poll_until("some seconds later", support::PATIENCE, async || {
        let mut other = MySqlConnection::connect(&lab.mariadb().url("")).await.map_err(|e| e.to_string())?;
        let up = "SELECT 1 FROM information_schema.GLOBAL_STATUS
                  WHERE VARIABLE_NAME = 'UPTIME' AND CAST(VARIABLE_VALUE AS SIGNED) >= 3";
        let up = sqlx::raw_sql(up).fetch_optional(&mut other).await.map_err(|e| e.to_string())?;
        up.map(|_| ()).ok_or_else(|| "not yet".to_owned())
    });
    later.await.unwrap();
    assert_eq!(scene.store.watch_leases().await.unwrap().0, first);
    lab.mariadb().restart().await.unwrap();
    let restarted = dmf_lab::poll_until("the server answers", support::PATIENCE, async || {
        scene.store.watch_leases().await
    });
    assert_ne!(restarted.await.unwrap().0, first);
}
