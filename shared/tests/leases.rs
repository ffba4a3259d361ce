//! Claims, read-backs and hand-backs on a real MariaDB.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use dmf_lab::Lab;
use dmf_shared::{
    domain::{
        ids::{JobId, TargetId},
        migration::Status,
    },
    store::{ClaimRequest, Claimed, CountedLoss, Decision, Finished, HandBack, Holder, LossCause, Refusal},
};
use support::{Scene, register, scene};
use uuid::Uuid;

async fn lab() -> Lab {
    Lab::builder().mariadb().start().await.unwrap()
}

async fn submit(scene: &Scene, uid: &str) -> JobId {
    let submitted = scene.store.submit(&scene.source, &scene.submission(uid)).await.unwrap();
    JobId { source: scene.source.id, journal: submitted.record.id }
}

fn requests(scene: &Scene, jobs: &[JobId]) -> Vec<ClaimRequest> {
    jobs.iter().map(|job| ClaimRequest { job: *job, host: scene.host }).collect()
}

async fn claim(scene: &Scene, job: JobId) -> Claimed {
    let decisions = scene.store.claim(&scene.holder, &requests(scene, &[job])).await.unwrap();
    match decisions.into_iter().next() {
        Some(Decision::Granted(claimed)) => *claimed,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_claim_is_read_back_by_the_one_who_made_it() {
    let lab = lab().await;
    let scene = scene(&lab, 5).await;
    let (mine, waiting) = (submit(&scene, "mine").await, submit(&scene, "waiting").await);
    let unknown = JobId { journal: dmf_shared::domain::ids::JournalId(999), ..mine };
    let claimed = claim(&scene, mine).await;
    let all = requests(&scene, &[mine, waiting, unknown]);
    let read_back = scene.store.read_back_claim(&scene.holder, &all).await.unwrap();
    let [found] = &read_back[..] else { panic!("{read_back:?}") };
    assert_eq!((found.job, found.epoch), (mine, claimed.epoch));
    assert_eq!((&found.user.source_uid[..], found.host.id), ("mine", scene.host));
    let other = register(&scene.store, "worker-2").await;
    let successor = Holder { incarnation: Uuid::new_v4(), ..scene.holder.clone() };
    for stranger in [other, successor] {
        assert!(scene.store.read_back_claim(&stranger, &all).await.unwrap().is_empty(), "{stranger:?}");
    }
}

#[tokio::test]
async fn a_worker_claims_for_its_own_target_alone() {
    let lab = lab().await;
    let scene = scene(&lab, 5).await;
    let job = submit(&scene, "alice").await;
    let elsewhere = Holder { target: TargetId(scene.target.0 + 1), ..scene.holder.clone() };
    let decisions = scene.store.claim(&elsewhere, &requests(&scene, &[job])).await.unwrap();
    assert!(matches!(decisions[..], [Decision::Refused(_, Refusal::NotWaiting)]), "{decisions:?}");
    assert_eq!(claim(&scene, job).await.job, job);
}

#[tokio::test]
async fn a_hand_back_that_counts_makes_an_end_after_too_many() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let job = submit(&scene, "alice").await;
    for loss in 1..=3 {
        let claimed = claim(&scene, job).await;
        assert_eq!((claimed.losses, claimed.blocks.len()), (loss - 1, loss as usize - 1));
        let counted = CountedLoss { cause: LossCause::Fault, max_losses: 3 };
        let back = HandBack { attempt: Some(loss), loss: Some(counted), ..HandBack::default() };
        let store = &scene.store;
        let handed = store.hand_back(&scene.source, job, claimed.epoch, &back).await.unwrap();
        assert_eq!(handed, Finished::Recorded);
        let again = store.hand_back(&scene.source, job, claimed.epoch, &back).await.unwrap();
        assert_eq!(again, Finished::Superseded);
        assert!(store.lease_beats().await.unwrap().is_empty());
    }
    let user = scene.store.user(&scene.source, "alice").await.unwrap().unwrap();
    let record = scene.store.latest_record(&scene.source, user.id).await.unwrap().unwrap();
    assert_eq!(record.status, Status::Failure);
    assert_eq!(record.attempt, 3);
    let details = record.details.unwrap();
    assert_eq!(details.as_array().map(Vec::len), Some(3), "{details}");
    assert!(
        details[2]["lost"]["errors"][0].as_str().unwrap().starts_with("A fault of the worker"),
        "{details}"
    );
}

#[tokio::test]
async fn a_hand_back_that_counts_keeps_its_pause() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let job = submit(&scene, "alice").await;
    let claimed = claim(&scene, job).await;
    let loss = Some(CountedLoss { cause: LossCause::Refused, max_losses: 3 });
    let back = HandBack { delay_ms: Some(3_600_000), loss, ..HandBack::default() };
    scene.store.hand_back(&scene.source, job, claimed.epoch, &back).await.unwrap();
    let decisions = scene.store.claim(&scene.holder, &requests(&scene, &[job])).await.unwrap();
    let Some(Decision::Refused(_, Refusal::TooEarly { wait_ms })) = decisions.first() else {
        panic!("{decisions:?}")
    };
    assert!(*wait_ms > 3_500_000);
}
