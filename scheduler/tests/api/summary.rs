//! The figures over a whole journal.

use std::sync::Arc;

use dmf_shared::{
    domain::migration::Status,
    store::{Counts, Finish},
};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Api, server_status};

const SUMMARY: &str = "/users/migrations/summary";
/// How often a page of a table or an index was looked at.
const PAGES_READ: &str = "Innodb_buffer_pool_read_requests";

#[tokio::test]
async fn it_counts_what_there_is_and_tells_when_it_will_be_done() {
    let api = Api::start().await;
    let source = api.furnish().await;
    let none = json!({ "SCHEDULED": 0, "SYNC": 0, "SUCCESS": 0, "FAILURE": 0, "ABORTED": 0 });
    let empty = api.customer("GET", SUMMARY, Value::Null).await.expect(200);
    assert_eq!(
        empty,
        json!({
            "migrations": 0,
            "open": 0,
            "status": none,
            "phase": { "PRE_SYNC": none, "CUTOVER": none },
            "sourcehosts": [{ "name": "imap.host.1", "status": none }],
            "movedMessageCount": 0,
            "movedSize": 0,
            "rate": { "migrationsPerHour": 0, "messagesPerHour": 0, "bytesPerHour": 0 },
        })
    );
    let record = api.submit("a").await;
    let claimed = api.claim(&source, &record).await;
    let counts = Counts {
        target_message_count: Some(200),
        target_mailbox_size: Some(4000),
        sync_message_count: Some(50),
        ..Counts::default()
    };
    let finish =
        Finish { status: Status::Success, details: json!([]), counts, attempt: 1, verification: None };
    api.app.store.finish(&source, claimed.job, claimed.epoch, &finish).await.unwrap();
    api.submit("b").await;
    api.submit("c").await;
    let summary = api.customer("GET", SUMMARY, Value::Null).await.expect(200);
    let mut counts = none.clone();
    counts["SUCCESS"] = json!(1);
    counts["SCHEDULED"] = json!(2);
    assert_eq!((&summary["migrations"], &summary["open"]), (&json!(3), &json!(2)));
    assert_eq!(summary["status"], counts);
    assert_eq!(summary["phase"], json!({ "PRE_SYNC": counts, "CUTOVER": none }));
    assert_eq!(summary["sourcehosts"], json!([{ "name": "imap.host.1", "status": counts }]));
    // 50 of 200 mails of 4000 bytes in all.
    assert_eq!((&summary["movedMessageCount"], &summary["movedSize"]), (&json!(50), &json!(1000)));
    assert_eq!(summary["rate"]["migrationsPerHour"], 60);
    assert!(summary["eta"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn counts_of_any_size_do_not_stop_a_result() {
    let api = Api::start().await;
    let source = api.furnish().await;
    let record = api.submit("a").await;
    let claimed = api.claim(&source, &record).await;
    let counts = Counts {
        target_message_count: Some(1),
        target_mailbox_size: Some(u64::MAX),
        sync_message_count: Some(u64::MAX),
        ..Counts::default()
    };
    let finish =
        Finish { status: Status::Success, details: json!([]), counts, attempt: 1, verification: None };
    api.app.store.finish(&source, claimed.job, claimed.epoch, &finish).await.unwrap();
    api.customer("GET", SUMMARY, Value::Null).await.expect(200);
}

#[tokio::test]
async fn it_reads_indexes_alone() {
    let api = Api::start().await;
    let source = api.furnish().await;
    api.submit("a").await;
    api.app.store.fill_journal(&source, 20_000).await.unwrap();
    let plans = api.app.store.explain_summary(&source).await.unwrap();
    for ((index, extra), expected) in plans.iter().zip(["summary", "ended"]) {
        assert_eq!(index, expected);
        assert!(extra.contains("Using index"), "{index}: {extra}");
        for costly in ["temporary", "filesort", "Using index condition"] {
            assert!(!extra.contains(costly), "{index}: {extra}");
        }
    }
    // What MariaDB does is not always what it says: see `store::summary`.
    let mut database = api.database().await;
    for time in 1..=12 {
        let before = server_status(&mut database, PAGES_READ).await;
        let summary = api.customer("GET", SUMMARY, Value::Null).await.expect(200);
        assert_eq!(summary["status"]["SUCCESS"], 20_000);
        let read = server_status(&mut database, PAGES_READ).await - before;
        assert!(read < 10_000, "{read} pages were read for 20,000 records, the time {time}");
    }
}

#[tokio::test]
async fn many_who_ask_share_a_read_and_miss_nothing() {
    let api = Api::start().await;
    let source = api.furnish().await;
    api.submit("a").await;
    // All have asked before the first read is through: the second serves everybody but who began the first.
    let asked = (0..20).map(|_| api.app.summaries.of(&source));
    let figures: Vec<_> = join_all(asked).await.into_iter().map(Result::unwrap).collect();
    assert!(figures.iter().all(|figures| figures.rows[0].migrations == 1));
    assert!(figures[2..].iter().all(|shared| Arc::ptr_eq(shared, &figures[1])));
    // Who asks later gets later figures.
    api.submit("b").await;
    assert_eq!(api.app.summaries.of(&source).await.unwrap().rows[0].migrations, 2);
}
