//! Submits that come at the same time: each gets the answer that it would get alone.

use std::collections::HashSet;

use dmf_lab::poll_until;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Api, PATIENCE, first, server_status};

const SUBMIT: &str = "/users/migrations";

#[tokio::test]
async fn each_gets_its_own_answer_and_they_share_commits() {
    let api = Api::start().await;
    api.furnish().await;
    for known in ["open", "ended"] {
        api.submit(known).await;
    }
    api.customer("PUT", "/users/ended/migrations/close/latest/as/SUCCESS", Value::Null).await.expect(200);
    let mut taker = first("taker");
    taker["targetUid"] = json!("NEW-open");
    let mut short = first("short");
    short.as_object_mut().unwrap().remove("target");
    let mut moves = first("ended");
    moves["targetUid"] = json!("elsewhere");
    let fine: Vec<Value> = (0..30).map(|number| first(&format!("user{number}"))).collect();
    let twins = [first("twin"), first("twin")];
    let special = [first("open"), taker, short, moves];

    let mut database = api.database().await;
    let before = server_status(&mut database, "Com_commit").await;
    let all = special.iter().chain(&twins).chain(&fine);
    let answers = join_all(all.map(|body| api.customer("POST", SUBMIT, body.clone()))).await;
    let shared = server_status(&mut database, "Com_commit").await - before;

    let (special, others) = answers.split_at(special.len());
    assert_eq!(special[0].errors(409), ["sourceUid: migration 1 of this user is open"]);
    assert_eq!(special[1].errors(409), ["targetUid: is taken by another user on this target"]);
    assert_eq!(special[2].errors(400), ["target: is required, since this user is new"]);
    assert!(special[3].errors(409)[0].starts_with("targetUid, target: can't change"));
    let (twins, others) = others.split_at(twins.len());
    let statuses: HashSet<u16> = twins.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, HashSet::from([201, 409]));
    let mut ids = HashSet::new();
    for (body, answer) in fine.iter().zip(others) {
        let record = answer.expect(201);
        assert_eq!(record["sourceUid"], body["sourceUid"]);
        assert!(ids.insert(record["id"].as_u64().unwrap()), "{record}");
        let path = format!("/users/{}/migrations/latest", body["sourceUid"].as_str().unwrap());
        assert_eq!(api.customer("GET", &path, Value::Null).await.expect(200), record);
    }
    assert!(shared < 31, "31 submits were committed one by one: {shared} commits");
    let noted = api.admin("GET", "/audit?limit=100", Value::Null).await.expect(200);
    let noted = noted["entries"].as_array().unwrap().iter();
    let of_submits = noted.filter(|entry| entry["method"] == "POST" && entry["status"] == 201);
    let of_submits = of_submits.filter(|entry| entry["path"].as_str().unwrap().ends_with(SUBMIT));
    assert_eq!(of_submits.count(), 2 + 1 + fine.len(), "an entry for each that was accepted");
}

#[tokio::test]
async fn a_client_that_goes_away_takes_no_other_along() {
    let api = Api::start().await;
    api.furnish().await;
    let (mut holder, mut database) = (api.database().await, api.database().await);
    sqlx::raw_sql("BEGIN; SELECT id FROM sourcehosts FOR UPDATE").fetch_all(&mut holder).await.unwrap();

    let mut gone = Box::pin(api.customer("POST", SUBMIT, first("gone")));
    let wait = poll_until("the submit did not wait for the source host", PATIENCE, async || {
        let waiting = server_status(&mut database, "Innodb_row_lock_current_waits").await;
        if waiting == 0 { Err("none waits") } else { Ok(()) }
    });
    tokio::select! {
        answer = &mut gone => panic!("{answer:?}"),
        waiting = wait => waiting.unwrap(),
    }
    let others = join_all(["left", "right"].map(|uid| api.customer("POST", SUBMIT, first(uid))));
    let leave = async {
        drop(gone);
        sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    };
    let (answers, ()) = tokio::join!(others, leave);
    for answer in answers {
        answer.expect(201);
    }
    poll_until("what was under way did not go on", PATIENCE, async || {
        let latest = api.customer("GET", "/users/gone/migrations/latest", Value::Null).await;
        if latest.status.as_u16() == 200 { Ok(()) } else { Err(latest.text) }
    })
    .await
    .unwrap();
}
