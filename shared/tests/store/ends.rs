//! Closes, cancels and losses.

use dmf_shared::{
    domain::{ids::Epoch, migration::Status},
    store::{Cancelled, Closed, Finish, Finished, Hook, Reaped, Refusal, Wanted},
};

use crate::{beat_of, claim, granted, lab, refusal, submit, success, support::scene};

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
