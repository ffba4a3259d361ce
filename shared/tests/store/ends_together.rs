//! Results that are recorded together.

use dmf_shared::{
    domain::{
        ids::{Epoch, JobId},
        migration::Status,
    },
    store::{Cancelled, Ended, Finish, Finished, Hook},
};
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, Row as _};

use crate::{
    claim, lab, submit, success,
    support::{Scene, scene},
};

fn ended(scene: &Scene, job: JobId, epoch: u64, status: Status) -> Ended {
    let finish = Finish { status, ..success() };
    Ended { source: scene.source.clone(), job, epoch: Epoch(epoch), finish }
}

async fn status(scene: &Scene, uid: &str) -> Status {
    let user = scene.store.user(&scene.source, uid).await.unwrap().unwrap().id;
    scene.store.latest_record(&scene.source, user).await.unwrap().unwrap().status
}

#[tokio::test]
async fn what_nothing_stands_against_is_recorded_and_the_rest_is_left() {
    let lab = lab().await;
    let scene = scene(&lab, 20).await;
    let (one, two) = (submit(&scene, "one").await, submit(&scene, "two").await);
    let (cancelled, let_in) = (submit(&scene, "cancelled").await, submit(&scene, "let-in").await);
    let (waiting, locked) = (submit(&scene, "waiting").await, submit(&scene, "locked").await);
    claim(&scene, &[one, two, cancelled, let_in, locked]).await;
    for hook in [Hook::Pre, Hook::Post] {
        assert!(scene.store.note_hook(&scene.source, let_in, Epoch(1), hook).await.unwrap());
    }
    for (uid, job) in [("cancelled", cancelled), ("let-in", let_in)] {
        let user = scene.store.user(&scene.source, uid).await.unwrap().unwrap().id;
        let answer = scene.store.cancel_latest(&scene.source, user).await.unwrap();
        assert_eq!(answer, Cancelled::Requested(job.journal));
    }
    let mut other = MySqlConnection::connect(&lab.mariadb().url("migration")).await.unwrap();
    let lock = format!("SELECT 1 FROM journalCustomerX WHERE id = {} FOR UPDATE", locked.journal.0);
    sqlx::raw_sql("BEGIN").execute(&mut other).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut other).await.unwrap();

    let all = [
        ended(&scene, one, 1, Status::Success),
        ended(&scene, two, 2, Status::Success),
        ended(&scene, two, 1, Status::Failure),
        ended(&scene, cancelled, 1, Status::Success),
        ended(&scene, let_in, 1, Status::Success),
        ended(&scene, waiting, 0, Status::Success),
        ended(&scene, locked, 1, Status::Success),
    ];
    let begun = std::time::Instant::now();
    let recorded = scene.store.finish_batch(&all).await.unwrap();
    assert_eq!(recorded, [true, false, true, false, true, false, false]);
    assert!(begun.elapsed().as_secs() < 4, "a locked row was waited for");
    assert_eq!(status(&scene, "one").await, Status::Success);
    assert_eq!(status(&scene, "two").await, Status::Failure);
    assert_eq!(status(&scene, "let-in").await, Status::Success);
    assert_eq!(status(&scene, "waiting").await, Status::Scheduled);
    let mut left: Vec<JobId> =
        scene.store.all_leases().await.unwrap().into_iter().map(|lease| lease.job).collect();
    left.sort_by_key(|job| job.journal.0);
    assert_eq!(left, [cancelled, locked]);

    // Both ways write the same, and either finds what the other has recorded.
    assert_eq!(scene.store.finish_batch(&all).await.unwrap(), [false; 7]);
    let again = scene.store.finish(&scene.source, one, Epoch(1), &success()).await.unwrap();
    assert_eq!(again, Finished::Recorded);
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    let alone = scene.store.finish(&scene.source, locked, Epoch(1), &success()).await.unwrap();
    assert_eq!(alone, Finished::Recorded);
    let row = async |connection: &mut MySqlConnection, job: JobId| {
        let columns =
            "epoch, details, attempt, sync_message_count, cleanup, carried, verification, stopped IS NULL";
        let select =
            format!("SELECT CONCAT_WS('|', {columns}) FROM journalCustomerX WHERE id = {}", job.journal.0);
        let row = sqlx::raw_sql(AssertSqlSafe(select)).fetch_one(connection).await.unwrap();
        row.get::<String, _>(0)
    };
    assert_eq!(row(&mut other, one).await, row(&mut other, locked).await);
}
