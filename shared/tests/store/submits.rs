//! What a submit takes and refuses.

use dmf_shared::{
    domain::{
        ids::{Epoch, JobId},
        migration::Phase,
    },
    store::{BulkAccepted, Submission, SubmitError, UserFields},
};
use sqlx::{Connection as _, MySqlConnection, Row as _};

use crate::{
    claim, lab, submit, success,
    support::{add_host, options, scene},
};

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
async fn a_target_uid_that_is_taken_costs_neither_a_connection_nor_the_rest_of_its_batch() {
    let lab = lab().await;
    let scene = scene(&lab, 2).await;
    submit(&scene, "alice").await;
    let mut thief = scene.submission("thief");
    thief.user.target_uid = Some("Alice".to_owned());
    let mut other = MySqlConnection::connect(&lab.mariadb().url("migration")).await.unwrap();
    let one = dmf_shared::store::Store::connect_lazily(&options(&lab, 1));
    one.version().await.unwrap();
    let before = newest_connection(&mut other).await;
    let refused = one.submit(&scene.source, &thief).await.unwrap_err();
    assert!(matches!(refused, SubmitError::TargetUidTaken), "{refused:?}");
    let batch = [scene.submission("bob"), thief, scene.submission("carol")];
    let answers = one.submit_batch(&scene.source, &batch, false).await.unwrap();
    let [Ok(BulkAccepted::Created(bob)), Err(SubmitError::TargetUidTaken), Ok(BulkAccepted::Created(carol))] =
        &answers[..]
    else {
        panic!("{answers:?}");
    };
    assert!(bob < carol, "{answers:?}");
    assert_eq!(newest_connection(&mut other).await, before, "another connection was made");
    let kept = one.user(&scene.source, "carol").await.unwrap().unwrap();
    assert_eq!(kept.target_uid, "carol");
    assert!(one.user(&scene.source, "thief").await.unwrap().is_none());
}

#[tokio::test]
async fn nobody_takes_the_target_uid_that_another_of_its_batch_leaves() {
    let lab = lab().await;
    let scene = scene(&lab, 2).await;
    let job = submit(&scene, "alice").await;
    claim(&scene, &[job]).await;
    scene.store.finish(&scene.source, job, Epoch(1), &success()).await.unwrap();
    let mut mover = Submission { force: true, ..scene.submission("alice") };
    mover.user.target_uid = Some("elsewhere".to_owned());
    let mut heir = scene.submission("heir");
    heir.user.target_uid = Some("alice".to_owned());
    // Alone, the first would be refused: the second is not moved yet.
    let batch = [heir, mover];
    let dry = scene.store.submit_batch(&scene.source, &batch, true).await.unwrap();
    assert!(matches!(&dry[..], [Err(SubmitError::TargetUidTaken), Ok(_)]), "{dry:?}");
    let real = scene.store.submit_batch(&scene.source, &batch, false).await.unwrap();
    assert!(matches!(&real[..], [Err(SubmitError::TargetUidTaken), Ok(_)]), "{real:?}");
}

/// The id of the server's connection that was made last.
async fn newest_connection(connection: &mut MySqlConnection) -> u64 {
    let newest = "SELECT CAST(MAX(ID) AS UNSIGNED) FROM information_schema.PROCESSLIST";
    sqlx::raw_sql(newest).fetch_one(connection).await.unwrap().get(0)
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
async fn a_start_far_in_the_future_is_kept() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let not_before = time::macros::datetime!(2090-05-01 22:00 UTC);
    let later = Submission { not_before: Some(not_before), ..scene.submission("alice") };
    let record = scene.store.submit(&scene.source, &later).await.unwrap().record;
    assert_eq!(record.not_before, Some(not_before));
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
        let left = scene.store.places_by_name(scene.source.id, None, Some(&uid)).await.unwrap().1;
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
