//! Records: what they show over the life of a migration, and how an operator closes one.

use dmf_shared::{
    domain::migration::Status,
    store::{Counts, Finish, Finished},
};
use serde_json::{Value, json};

use crate::support::{Api, without_times};

async fn close(api: &Api, uid: &str, status: &str) -> crate::support::Answer {
    api.customer("PUT", &format!("/users/{uid}/migrations/close/latest/as/{status}"), Value::Null).await
}

#[tokio::test]
async fn a_record_shows_who_runs_it_and_then_what_came_of_it() {
    let api = Api::start().await;
    let source = api.furnish().await;
    let record = api.submit("alice").await;
    let claimed = api.claim(&source, &record).await;
    let running = api.customer("GET", "/users/alice/migrations/latest", Value::Null).await.expect(200);
    assert_eq!(
        without_times(running),
        json!({
            "id": 1,
            "sourceUid": "alice",
            "created": "time",
            "status": "SYNC",
            "phase": "PRE_SYNC",
            "priority": false,
            "started": "time",
            "backend": "default/worker-1",
            "modified": "time",
        })
    );
    let host = api.admin("GET", "/sources/CustomerX/sourcehosts/imap.host.1", Value::Null).await.expect(200);
    assert_eq!(host["connectionsInUse"], 1);

    let details = json!([{ "dsync": { "success": true, "exitCode": 0, "saved": { "INBOX": 150 } } }]);
    let finish = Finish {
        status: Status::Success,
        details: details.clone(),
        counts: Counts {
            target_message_count: Some(150),
            target_mailbox_size: Some(142_255),
            source_message_count: Some(150),
            source_mailbox_size: Some(142_255),
            expunged_message_count: Some(0),
            sync_message_count: Some(150),
            sync_speed: Some(1244),
        },
        attempt: 1,
        verification: None,
    };
    let finished = api.app.store.finish(&source, claimed.job, claimed.epoch, &finish).await.unwrap();
    assert_eq!(finished, Finished::Recorded);
    let ended = api.customer("GET", "/users/alice/migrations/1", Value::Null).await.expect(200);
    assert_eq!(
        without_times(ended),
        json!({
            "id": 1,
            "sourceUid": "alice",
            "created": "time",
            "status": "SUCCESS",
            "phase": "PRE_SYNC",
            "priority": false,
            "started": "time",
            "stopped": "time",
            "attempt": 1,
            "details": details,
            "backend": "default/worker-1",
            "modified": "time",
            "targetMessageCount": 150,
            "targetMailboxSize": 142_255,
            "sourceMessageCount": 150,
            "sourceMailboxSize": 142_255,
            "expungedMessageCount": 0,
            "syncMessageCount": 150,
            "syncSpeed": 1244,
        })
    );
}

#[tokio::test]
async fn an_operator_closes_a_waiting_or_running_migration_once() {
    let api = Api::start().await;
    let source = api.furnish().await;
    for (uid, word, status) in [
        ("a", "ABORTED", "ABORTED"),
        ("b", "FAILURE", "FAILURE"),
        ("c", "FAILED", "FAILURE"),
        ("d", "SUCCESS", "SUCCESS"),
    ] {
        let id = api.submit(uid).await["id"].clone();
        let closed = without_times(close(&api, uid, word).await.expect(200));
        assert_eq!(
            (&closed["id"], &closed["status"], &closed["stopped"]),
            (&id, &json!(status), &json!("time"))
        );
        let again = close(&api, uid, "ABORTED").await;
        assert_eq!(again.errors(409), [format!("migration {id} has ended already: {status}")]);
    }
    let record = api.submit("e").await;
    let claimed = api.claim(&source, &record).await;
    assert_eq!(close(&api, "e", "ABORTED").await.expect(200)["status"], "ABORTED");
    let late = Finish {
        status: Status::Success,
        details: json!([]),
        counts: Counts::default(),
        attempt: 1,
        verification: None,
    };
    let finished = api.app.store.finish(&source, claimed.job, claimed.epoch, &late).await.unwrap();
    assert_eq!(finished, Finished::Superseded);
}

#[tokio::test]
async fn a_close_of_nothing_or_with_a_wrong_word_is_refused() {
    let api = Api::start().await;
    api.furnish().await;
    api.submit("a").await;
    for word in ["aborted", "SYNC", "SCHEDULED", "IN_PROGRESS", "%00", "ABORTED%20"] {
        let errors = close(&api, "a", word).await.errors(400);
        assert_eq!(errors, ["status: must be one of ABORTED, FAILURE, SUCCESS"], "{word}");
    }
    assert_eq!(close(&api, "b", "ABORTED").await.errors(404), ["User not found"]);
    let latest = api.customer("GET", "/users/a/migrations/latest", Value::Null).await.expect(200);
    assert_eq!(latest["status"], "SCHEDULED");
}

#[tokio::test]
async fn the_history_of_a_user_comes_page_by_page() {
    let api = Api::start().await;
    api.furnish().await;
    api.submit("other").await;
    let again = json!({ "sourceUid": "a", "phase": "PRE_SYNC" });
    let mut ids = vec![api.submit("a").await["id"].clone()];
    for _ in 0..4 {
        close(&api, "a", "ABORTED").await.expect(200);
        ids.push(api.customer("POST", "/users/migrations", again.clone()).await.expect(201)["id"].clone());
    }
    ids.reverse();
    let page = async |query: &str| {
        api.customer("GET", &format!("/users/a/migrations{query}"), Value::Null).await.expect(200)
    };
    let ids_of = |page: &Value| -> Vec<Value> {
        page["migrations"].as_array().unwrap().iter().map(|record| record["id"].clone()).collect()
    };
    let whole = page("").await;
    assert_eq!((ids_of(&whole), whole.get("nextCursor")), (ids.clone(), None));
    let latest = api.customer("GET", "/users/a/migrations/latest", Value::Null).await.expect(200);
    assert_eq!(whole["migrations"][0], latest);
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = page(&query).await;
        seen.extend(ids_of(&page));
        // One that comes meanwhile disturbs no page.
        close(&api, "a", "ABORTED").await.expect(200);
        api.customer("POST", "/users/migrations", again.clone()).await.expect(201);
        let Some(cursor) = page.get("nextCursor") else { break };
        query = format!("?limit=2&cursor={}", cursor.as_str().unwrap());
    }
    assert_eq!(seen, ids);
    let wrong = api.customer("GET", "/users/a/migrations?limit=0&cursor=x&status=SYNC", Value::Null).await;
    assert_eq!(
        wrong.errors(400),
        [
            "limit: must be a whole number from 1 to 1000",
            "cursor: must be the nextCursor of an earlier page",
            "status: unknown field, there are: limit, cursor",
        ]
    );
    api.customer("GET", "/users/none/migrations", Value::Null).await.errors(404);
}

#[tokio::test]
async fn records_are_found_by_their_own_user_only() {
    let api = Api::start().await;
    api.furnish().await;
    api.submit("a").await;
    let of_b = api.submit("b").await["id"].clone();
    for id in [of_b.to_string().as_str(), "0", "-1", "x", "99999999999999999999", "1.0", "%31x"] {
        let path = format!("/users/a/migrations/{id}");
        assert_eq!(
            api.customer("GET", &path, Value::Null).await.errors(404),
            ["Migration not found"],
            "{id}"
        );
    }
}
