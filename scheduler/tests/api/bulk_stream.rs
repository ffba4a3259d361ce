//! Bulk submits as streams: what is read when, and what becomes of one that does not come to its end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::header,
};
use dmf_lab::poll_until;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{
    bulk::{BULK, NDJSON, ndjson, results, send},
    support::{Api, KEY, KEY_HEADER, PATIENCE, first, request},
};

/// The chunks, then an end that never comes, or a fault.
fn unending(chunks: Vec<String>, broken: bool) -> Body {
    let chunks = stream::iter(chunks).map(|chunk| Ok(Bytes::from(chunk)));
    if broken {
        Body::from_stream(chunks.chain(stream::iter([Err("cut off")])))
    } else {
        Body::from_stream(chunks.chain(stream::pending::<Result<_, &str>>()))
    }
}

#[tokio::test]
async fn a_slow_client_hears_of_what_it_has_sent() {
    let api = Api::start().await;
    api.furnish().await;
    let body = unending(vec![format!("{}\n{{\"sourceUid\": \"half", first("a"))], false);
    let call = request("POST", BULK).header(KEY_HEADER, KEY).header(header::CONTENT_TYPE, NDJSON);
    let response = api.router().oneshot(call.body(body).unwrap()).await.unwrap();
    let mut results = response.into_body().into_data_stream();
    let line = tokio::time::timeout(PATIENCE, results.next()).await.unwrap().unwrap().unwrap();
    let line: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!((&line["sourceUid"], &line["status"]), (&json!("a"), &json!("CREATED")));
    // It hangs up; then nothing more comes of it, but the audit log knows what it did.
    drop(results);
    let audit = api.admin("GET", "/audit?actor=source:CustomerX", Value::Null).await.expect(200);
    let figures = json!({ "dryRun": false, "created": 1, "forced": 0, "existing": 0, "refused": 0 });
    assert_eq!(audit["entries"][0]["fields"], figures);
}

#[tokio::test]
async fn the_next_batch_is_read_while_one_is_submitted_and_no_more() {
    let api = Api::start().await;
    api.furnish().await;
    let mut other = api.database().await;
    sqlx::raw_sql("BEGIN; SELECT id FROM targets FOR UPDATE").execute(&mut other).await.unwrap();
    // A batch is full with the first line behind it.
    let read = Arc::new(AtomicUsize::new(0));
    let chunks = stream::iter(0..5).map({
        let read = Arc::clone(&read);
        move |chunk| {
            read.fetch_add(1, Ordering::SeqCst);
            let lines = (0..500).map(|line| first(&format!("{chunk}-{line}")));
            Ok::<_, &str>(Bytes::from(ndjson(lines)))
        }
    });
    let call = request("POST", BULK).header(KEY_HEADER, KEY).header(header::CONTENT_TYPE, NDJSON);
    let sent = async {
        let response = api.router().oneshot(call.body(Body::from_stream(chunks)).unwrap()).await.unwrap();
        axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap()
    };
    let looked = async {
        let ahead = async || match read.load(Ordering::SeqCst) {
            3 => Ok(()),
            chunks => Err(format!("{chunks} chunks were read")),
        };
        poll_until("the batch behind the one that waits is read", PATIENCE, ahead).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(read.load(Ordering::SeqCst), 3, "more than one batch is read ahead");
        sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    };
    let both = futures::future::join(sent, looked);
    let (answer, ()) = tokio::time::timeout(PATIENCE, both).await.unwrap();
    let answer = String::from_utf8(answer.to_vec()).unwrap();
    assert_eq!(answer.matches("CREATED").count(), 2500, "{answer}");
}

#[tokio::test]
async fn a_broken_input_leaves_whole_lines_only_and_says_so() {
    let api = Api::start().await;
    api.furnish().await;
    let body = unending(vec![ndjson([first("a"), first("b")]), first("c").to_string()], true);
    let results = results(&send(&api, "", NDJSON, body).await);
    let error = "the input broke off; what follows was not read, send it again";
    assert_eq!(results.last().unwrap(), &json!({ "error": error }));
    api.customer("GET", "/users/c", Value::Null).await.errors(404);
}

#[tokio::test]
async fn a_database_that_goes_away_is_told_in_the_line_where_it_went() {
    let api = Api::start().await;
    api.furnish().await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<String>(1);
    let chunks = stream::unfold(receiver, |mut receiver| async move {
        let chunk = receiver.recv().await?;
        Some((Ok::<_, &str>(Bytes::from(chunk)), receiver))
    });
    let call = request("POST", BULK).header(KEY_HEADER, KEY).header(header::CONTENT_TYPE, NDJSON);
    let response = api.router().oneshot(call.body(Body::from_stream(chunks)).unwrap()).await.unwrap();
    let mut results = response.into_body().into_data_stream();
    sender.send(ndjson([first("a")])).await.unwrap();
    let created = results.next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&created).contains("CREATED"));
    api.lab.mariadb().kill().await.unwrap();
    sender.send(ndjson([first("b")])).await.unwrap();
    drop(sender);
    let rest = tokio::time::timeout(Duration::from_mins(1), results.next()).await.unwrap().unwrap().unwrap();
    let rest = String::from_utf8(rest.to_vec()).unwrap();
    assert!(rest.ends_with("what follows was not read, send it again\"}\n"), "{rest}");
    assert!(rest.contains("The database is not available"), "{rest}");
    assert!(results.next().await.is_none());
    api.lab.mariadb().start().await.unwrap();
    let repeat = async || {
        let answer = send(&api, "", NDJSON, ndjson([first("a"), first("b")])).await;
        let found = answer.text.clone();
        if found.contains("EXISTS") && found.contains("CREATED") { Ok(()) } else { Err(found) }
    };
    poll_until("the repeat did not go through", PATIENCE, repeat).await.unwrap();
}
