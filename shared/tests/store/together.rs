//! Submits that go together in one transaction.

use std::time::{Duration, Instant};

use dmf_shared::{
    domain::{
        ids::{Epoch, HostId},
        migration::Status,
    },
    store::{Submission, SubmitError, UserFields},
};
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, Row as _};

use crate::{
    claim, lab, submit, success,
    support::{Scene, scene},
};

async fn count(database: &mut MySqlConnection, table: &str) -> i64 {
    let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
    sqlx::raw_sql(count).fetch_one(database).await.unwrap().get(0)
}

fn with(scene: &Scene, uid: &str, change: impl FnOnce(&mut UserFields)) -> Submission {
    let mut submission = scene.submission(uid);
    change(&mut submission.user);
    submission
}

#[tokio::test]
async fn each_has_the_answer_of_its_own() {
    let lab = lab().await;
    let scene = scene(&lab, 20).await;
    let mut database = MySqlConnection::connect(&lab.mariadb().url("migration")).await.unwrap();
    let open = submit(&scene, "open").await;
    let ended = submit(&scene, "ended").await;
    claim(&scene, &[ended]).await;
    scene.store.finish(&scene.source, ended, Epoch(1), &success()).await.unwrap();

    let batch = [
        scene.submission("first"),
        scene.submission("open"),
        with(&scene, "second", |user| user.email = Some(Some("second@example".to_owned()))),
        with(&scene, "taker", |user| user.target_uid = Some("OPEN".to_owned())),
        with(&scene, "short", |user| user.target = None),
        scene.submission("ended"),
        with(&scene, "gone", |user| user.sourcehost = Some(HostId(999))),
        scene.submission("third"),
    ];
    let answers = scene.store.submit_together(&scene.source, &batch).await.unwrap().unwrap();
    let [first, opened, second, taker, short, again, gone, third] = &answers[..] else {
        panic!("{answers:?}");
    };
    for (uid, answer) in [("first", first), ("second", second), ("ended", again), ("third", third)] {
        let record = &answer.as_ref().unwrap().record;
        assert_eq!((&record.source_uid[..], record.status), (uid, Status::Scheduled));
        let user = scene.store.user(&scene.source, uid).await.unwrap().unwrap();
        assert_eq!(user.id, record.user);
        let latest = scene.store.latest_record(&scene.source, user.id).await.unwrap().unwrap();
        assert_eq!((latest.id, latest.created), (record.id, record.created));
    }
    assert!(matches!(opened, Err(SubmitError::Open(id)) if *id == open.journal), "{opened:?}");
    assert!(matches!(taker, Err(SubmitError::TargetUidTaken)), "{taker:?}");
    assert!(matches!(short, Err(SubmitError::Missing(fields)) if fields[..] == ["target"]), "{short:?}");
    assert!(matches!(gone, Err(SubmitError::Gone("sourcehost"))), "{gone:?}");
    assert_eq!(count(&mut database, "journalCustomerX").await, 2 + 4);
    assert_eq!(count(&mut database, "outbox WHERE kind = 'MIGRATION'").await, 2 + 4);
}

/// Nobody of a batch is there, and each of `alone` can go by itself at once.
async fn assert_left(scene: &Scene, batch: &[Submission], alone: &[&str]) {
    let begun = Instant::now();
    let answers = scene.store.submit_together(&scene.source, batch).await.unwrap();
    assert!(answers.is_none(), "{answers:?}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let begun = Instant::now();
    for uid in alone {
        assert!(scene.store.user(&scene.source, uid).await.unwrap().is_none(), "{uid}");
        submit(scene, uid).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "something was locked for {:?}", begun.elapsed());
}

#[tokio::test]
async fn what_is_in_the_way_of_one_leaves_nothing_of_the_others() {
    let lab = lab().await;
    let scene = scene(&lab, 20).await;
    submit(&scene, "known").await;
    let mut other = MySqlConnection::connect(&lab.mariadb().url("migration")).await.unwrap();

    // Two of one target uid, which no batch may have.
    let twins =
        [scene.submission("one"), with(&scene, "two", |user| user.target_uid = Some("ONE".to_owned()))];
    assert_left(&scene, &twins, &["one"]).await;

    // A user whose row is locked.
    let lock = "BEGIN; SELECT 1 FROM usersCustomerX WHERE source_uid = 'known' FOR UPDATE";
    sqlx::raw_sql(lock).fetch_all(&mut other).await.unwrap();
    let locked = [scene.submission("three"), scene.submission("known")];
    assert_left(&scene, &locked, &["three"]).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();

    // A row that another transaction is about to write, which no read of the batch meets: the server itself ends the
    // wait. It keeps others from that index, too, so they go once it is gone.
    let ended = submit(&scene, "ended").await;
    claim(&scene, &[ended]).await;
    scene.store.finish(&scene.source, ended, Epoch(1), &success()).await.unwrap();
    let write = format!(
        "BEGIN; INSERT INTO journalCustomerX (user_id, sourcehost_id, target_id, status, phase, priority, created, modified)
         SELECT user_id, sourcehost_id, target_id, 'SCHEDULED', phase, priority, created, modified
         FROM journalCustomerX WHERE id = {}",
        ended.journal.0
    );
    sqlx::raw_sql(AssertSqlSafe(write)).execute(&mut other).await.unwrap();
    let begun = Instant::now();
    let written = [scene.submission("four"), scene.submission("ended")];
    assert!(scene.store.submit_together(&scene.source, &written).await.unwrap().is_none());
    assert!(begun.elapsed() < Duration::from_millis(2500), "the batch was cut off: {:?}", begun.elapsed());
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert!(scene.store.user(&scene.source, "four").await.unwrap().is_none());
    submit(&scene, "four").await;
}
