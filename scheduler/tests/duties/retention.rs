//! What is old goes, but for what somebody has to know of later.

#![allow(clippy::disallowed_methods, reason = "a past is made up here that no call of the store makes")]

use std::time::Duration;

use dmf_scheduler::retention::{Settings, Sweeper, Swept};
use dmf_shared::{
    domain::ids::JournalId,
    store::{Intent, Keep, SubmitError, TargetState},
};
use sqlx::Row as _;

use crate::support::Stage;

const DAY: Duration = Duration::from_hours(24);

/// A record of `user` that ended so many days ago.
struct Past {
    user: &'static str,
    days: u32,
    status: &'static str,
    phase: &'static str,
    attempt: u32,
    saved: Option<u32>,
    left: Option<u32>,
    post_started: bool,
}

const PAST: Past = Past {
    user: "u",
    days: 100,
    status: "FAILURE",
    phase: "PRE_SYNC",
    attempt: 1,
    saved: Some(0),
    left: None,
    post_started: false,
};
const SUCCESS: Past = Past { status: "SUCCESS", saved: Some(5), left: Some(5), ..PAST };

impl Past {
    /// Writes it; gives its id.
    async fn write(&self, stage: &Stage) -> u64 {
        let mut connection = stage.database().await;
        let inserted = sqlx::query(
            "INSERT INTO journalCustomerX (user_id, sourcehost_id, target_id, status, phase, priority, created, started,
                 stopped, modified, attempt, sync_message_count, expunged_message_count, target_message_count,
                 post_started, details, verification)
             SELECT id, sourcehost_id, target_id, ?, ?, FALSE, then_, then_, then_, then_, ?, ?, 0, ?, ?, '[]', '{}'
             FROM usersCustomerX JOIN (SELECT UTC_TIMESTAMP(3) - INTERVAL ? DAY AS then_) t WHERE source_uid = ?",
        )
        .bind(self.status)
        .bind(self.phase)
        .bind(self.attempt)
        .bind(self.saved)
        .bind(self.left)
        .bind(self.post_started)
        .bind(self.days)
        .bind(self.user)
        .execute(&mut connection)
        .await
        .unwrap();
        assert_eq!(inserted.rows_affected(), 1);
        inserted.last_insert_id()
    }
}

async fn ids(stage: &Stage, condition: &str) -> Vec<u64> {
    let statement = format!("SELECT id FROM journalCustomerX WHERE {condition} ORDER BY id");
    let rows =
        sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(&mut stage.database().await).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Creates a user by a migration that is cancelled before it started: its newest record tells nothing.
async fn user(stage: &Stage, uid: &str) {
    let job = stage.submit(uid).await;
    let statement = "UPDATE journalCustomerX SET status = 'ABORTED', stopped = UTC_TIMESTAMP(3) WHERE id = ?";
    sqlx::query(statement).bind(job.journal.0).execute(&mut stage.database().await).await.unwrap();
}

/// Writes records of the past, and one of today behind them that tells nothing.
async fn history(stage: &Stage, uid: &'static str, records: &[Past]) -> Vec<u64> {
    let mut written = Vec::new();
    for record in records {
        written.push(Past { user: uid, ..*record }.write(stage).await);
    }
    let nothing = Past { user: uid, days: 0, status: "ABORTED", attempt: 0, saved: None, ..PAST };
    nothing.write(stage).await;
    written
}

fn sweeper(stage: &Stage, settings: Settings) -> Sweeper {
    Sweeper::new(stage.store.clone(), stage.queue.clone(), settings)
}

fn journal_only() -> Settings {
    Settings { keep: Keep { journal: Some(DAY * 30), details: None }, audit: None }
}

#[tokio::test]
async fn of_each_user_the_newest_of_each_kind_stays() {
    let stage = Stage::built().await;
    for uid in ["plain", "twice", "cutover", "moved", "uncounted"] {
        user(&stage, uid).await;
    }
    let mut gone = Vec::new();
    // Failures that moved nothing.
    let plain = history(&stage, "plain", &[PAST, PAST, Past { days: 10, ..PAST }]).await;
    gone.extend(&plain[..2]);
    let twice = history(&stage, "twice", &[SUCCESS, Past { saved: Some(0), ..SUCCESS }, PAST]).await;
    gone.extend([twice[0], twice[2]]);
    // A failure after the route may have been flipped, then a success that was no cutover.
    let flipped = Past { phase: "CUTOVER", post_started: true, ..PAST };
    let cutover = history(&stage, "cutover", &[SUCCESS, flipped, SUCCESS]).await;
    gone.push(cutover[0]);
    // Nobody knows what the second one moved.
    let moved = history(&stage, "moved", &[SUCCESS, Past { saved: None, ..PAST }, PAST]).await;
    gone.push(moved[2]);
    // The newer success does not tell what it left.
    let uncounted =
        history(&stage, "uncounted", &[SUCCESS, Past { saved: Some(0), left: None, ..SUCCESS }]).await;

    let before = ids(&stage, "TRUE").await;
    let swept = sweeper(&stage, journal_only()).sweep().await.unwrap().unwrap();
    let left = ids(&stage, "TRUE").await;
    gone.sort_unstable();
    let missing: Vec<u64> = before.into_iter().filter(|id| !left.contains(id)).collect();
    assert_eq!(missing, gone);
    assert_eq!(swept, Swept { records: gone.len() as u64, ..Swept::default() });

    // What the guards ask is answered as before.
    let state = async |uid: &str| {
        let user = stage.store.user(&stage.source, uid).await.unwrap().unwrap();
        stage.store.target_state(&stage.source, user.id, JournalId(u64::MAX)).await.unwrap()
    };
    assert_eq!(state("plain").await, TargetState::Untouched);
    assert_eq!(state("twice").await, TargetState::LeftAt(5));
    assert_eq!(state("moved").await, TargetState::Unknown);
    assert_eq!(state("uncounted").await, TargetState::LeftAt(5), "{uncounted:?}");
    let refused = stage.try_submit("cutover", false).await;
    assert!(matches!(refused, Err(SubmitError::CutOver(_))), "{refused:?}");
    // Nothing is left to do.
    assert_eq!(sweeper(&stage, journal_only()).sweep().await.unwrap(), None, "the other one has the lead");
}

#[tokio::test]
async fn open_records_and_those_with_a_child_stay_whole() {
    let stage = Stage::built().await;
    let waiting = stage.submit("waiting").await;
    let running = stage.submit("running").await;
    stage.claim(running).await;
    let closed = stage.submit("closed").await;
    stage.claim(closed).await;
    let mut connection = stage.database().await;
    for statement in [
        "UPDATE journalCustomerX SET details = '[]', created = '2001-01-01', modified = '2001-01-01'",
        // Closed by the admin long ago, and its worker has not told that the child is dead.
        "UPDATE journalCustomerX SET status = 'ABORTED', stopped = '2001-01-01'
         WHERE user_id = (SELECT id FROM usersCustomerX WHERE source_uid = 'closed')",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    history(&stage, "closed", &[]).await;
    let settings = Settings { keep: Keep { journal: Some(DAY), details: Some(DAY) }, audit: None };
    let sweeper = sweeper(&stage, settings);
    assert_eq!(sweeper.sweep().await.unwrap(), Some(Swept::default()));
    let whole = ids(&stage, "details IS NOT NULL AND created < '2002-01-01'").await;
    assert_eq!(whole, [waiting, running, closed].map(|job| job.journal.0));

    sqlx::query("DELETE FROM leases").execute(&mut connection).await.unwrap();
    assert_eq!(sweeper.sweep().await.unwrap().unwrap().records, 1);
    assert_eq!(ids(&stage, "created < '2002-01-01'").await, [waiting, running].map(|job| job.journal.0));
}

#[tokio::test]
async fn details_and_audit_go_in_batches() {
    let stage = Stage::built().await;
    user(&stage, "u").await;
    let (old, new) = (SUCCESS.write(&stage).await, Past { days: 1, ..SUCCESS }.write(&stage).await);
    let intent = Intent {
        actor: "admin:x".to_owned(),
        peer: None,
        request_id: None,
        method: "POST".to_owned(),
        path: "/".to_owned(),
    };
    stage.store.begin_audit(&intent).await.unwrap();
    let mut connection = stage.database().await;
    let many = "INSERT INTO audit (at, actor, method, path)
                SELECT UTC_TIMESTAMP(3) - INTERVAL 100 DAY, 'admin:old', 'POST', '/' FROM seq_1_to_2500";
    sqlx::query(many).execute(&mut connection).await.unwrap();
    let rows = "INSERT INTO journalCustomerX (user_id, sourcehost_id, target_id, status, phase, priority, created,
                    started, stopped, modified, details)
                SELECT user_id, sourcehost_id, target_id, 'FAILURE', phase, priority, created, started, stopped, modified, '[1]'
                FROM seq_1_to_2500 JOIN (SELECT * FROM journalCustomerX WHERE id = ?) j";
    sqlx::query(rows).bind(old).execute(&mut connection).await.unwrap();

    let settings = Settings { keep: Keep { journal: None, details: Some(DAY * 30) }, audit: Some(DAY * 30) };
    let swept = sweeper(&stage, settings).sweep().await.unwrap().unwrap();
    assert_eq!(swept, Swept { records: 0, details: 2501, audit: 2500 });
    assert_eq!(ids(&stage, "details IS NOT NULL").await, [new]);
    assert_eq!(ids(&stage, "verification IS NOT NULL").await, [new]);
    assert_eq!(ids(&stage, "status = 'SUCCESS' AND target_message_count = 5").await, [old, new]);
    let left: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM audit").fetch_one(&mut connection).await.unwrap();
    assert_eq!(left, 1);
}
