//! Random streams of lines.

use axum::{body::Body, http::header};
use futures::stream;
use proptest::{collection::vec, prelude::*, strategy::BoxedStrategy};
use serde_json::{Value, json};

use super::{json::body, samples, with_all_credentials};
use crate::support::{Api, first, request};

const CASES: usize = 30;

/// Sends the stream in chunks of this size; the answer's lines.
async fn submit(api: &Api, media: &str, input: &[u8], chunk: usize, dry_run: bool) -> Vec<Value> {
    let chunks: Vec<_> = input.chunks(chunk).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
    let call = request("POST", &format!("/dmf/api/v2/users/migrations/bulk?dryRun={dry_run}"))
        .header(header::CONTENT_TYPE, media)
        .body(Body::from_stream(stream::iter(chunks)))
        .unwrap();
    let answer = api.send(with_all_credentials(call)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The numbers of the lines that are not empty.
fn numbers(input: &[u8]) -> Vec<u64> {
    let lines = (1..).zip(input.split(|byte| *byte == b'\n'));
    let not_empty = lines.filter(|(_, line)| !line.strip_suffix(b"\r").unwrap_or(line).is_empty());
    not_empty.map(|(number, _)| number).collect()
}

/// One answer for each line, in order, and a reason for each refusal.
fn assert_answered(answers: &[Value], lines: &[u64], input: &[u8]) {
    let input = String::from_utf8_lossy(input);
    let answered: Vec<_> = answers.iter().map(|answer| answer["line"].as_u64().unwrap()).collect();
    assert_eq!(answered, lines, "{input}");
    for answer in answers {
        let is_refused = answer["status"] == "REFUSED";
        let errors = answer["errors"].as_array().map_or(0, Vec::len);
        assert_eq!(is_refused, errors > 0, "{answer} of {input}");
        assert_ne!(answer["status"], "FAILED", "{answer} of {input}");
    }
}

fn json_line() -> BoxedStrategy<Vec<u8>> {
    let right = |number: u8| {
        let mut right = first(&format!("user-{}", number % 20));
        right["password"] = json!("p");
        right["imapcOptions"] = json!(["imapc_features=a"]);
        right["notBefore"] = json!("2024-05-01T22:00:00Z");
        right
    };
    let text = |value: Value| value.to_string().into_bytes();
    prop_oneof![
        3 => any::<u8>().prop_map(move |number| text(right(number))),
        6 => any::<u8>().prop_flat_map(move |number| body(&right(number))).prop_map(text),
        2 => any::<u8>().prop_map(move |number| {
            let mut cut = text(right(number));
            cut.truncate(usize::from(number));
            cut
        }),
        2 => vec(any::<u8>().prop_filter("another line", |byte| *byte != b'\n'), 0..60),
        1 => prop::sample::select(vec!["", "\r", " ", "null", "[]", "{}", "{\"sourceUid\":"])
            .prop_map(|line| line.as_bytes().to_vec()),
        1 => Just(vec![b'x'; 70_000]),
    ]
    .boxed()
}

#[tokio::test]
async fn each_line_of_random_json_has_its_answer() {
    let api = Api::start_with_storage_key().await;
    api.furnish().await;
    let stream = (vec(json_line(), 0..12), any::<bool>(), any::<bool>(), 1_usize..5000);
    for (lines, ends, dry_run, chunk) in samples(CASES, &stream) {
        let mut input = lines.join(&b'\n');
        if ends {
            input.push(b'\n');
        }
        let answers = submit(&api, "application/x-ndjson", &input, chunk, dry_run).await;
        assert_answered(&answers, &numbers(&input), &input);
    }
}

fn cell() -> BoxedStrategy<String> {
    prop_oneof![
        2 => "[ -~&&[^\"\\\\]]{0,10}",
        1 => any::<String>().prop_map(|text| text.replace(['"', '\n', '\r'], "")),
        3 => prop::sample::select(vec![
            "", "alice", "bob", "PRE_SYNC", "CUTOVER", "default", "imap.host.1", "143", "true", "TRUE", "[", "[]",
            "[1]", "a=b", "2024-05-01T22:00:00Z",
        ])
        .prop_map(str::to_owned),
    ]
    .boxed()
}

fn csv_line() -> BoxedStrategy<String> {
    prop_oneof![
        2 => "[a-d]{1,3}".prop_map(|user| format!("{user},PRE_SYNC,new-{user},default,imap.host.1,,,")),
        4 => vec(cell(), 8).prop_map(|cells| cells.join(",")),
        2 => vec(cell(), 0..12).prop_map(|cells| cells.join(",")),
    ]
    .boxed()
}

const COLUMNS: &str = "sourceUid,phase,targetUid,target,sourcehost,priority,imapcOptions,notBefore\n";

#[tokio::test]
async fn each_line_of_random_csv_has_its_answer() {
    let api = Api::start().await;
    api.furnish().await;
    for (lines, dry_run, chunk) in samples(CASES, &(vec(csv_line(), 0..12), any::<bool>(), 1_usize..500)) {
        let input = format!("{COLUMNS}{}\n", lines.join("\r\n")).into_bytes();
        let answers = submit(&api, "text/csv", &input, chunk, dry_run).await;
        let of_columns = 1;
        assert_answered(&answers, &numbers(&input)[of_columns..], &input);
    }
}

/// With quotes a record may go over lines: then it has the number of its first one.
#[tokio::test]
async fn random_quotes_lose_no_line_behind_them() {
    let api = Api::start().await;
    api.furnish().await;
    let last = "zoe,PRE_SYNC,new-zoe,default,imap.host.1,,,";
    for (text, chunk) in samples(CASES, &("[a,\"\n]{0,60}", 1_usize..50)) {
        let input = format!("{COLUMNS}{text}\n{last}\n").into_bytes();
        let answers = submit(&api, "text/csv", &input, chunk, true).await;
        let numbers: Vec<_> = answers.iter().map(|answer| answer["line"].as_u64().unwrap()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{text:?}: {answers:?}");
        let end = answers.last().unwrap();
        let is_last = end["line"] == 2 + text.split('\n').count();
        // An open quote that a later one closes takes the last line in.
        assert!(is_last || text.contains('"'), "{text:?}: {answers:?}");
    }
}

#[tokio::test]
async fn random_columns_are_taken_or_end_the_stream() {
    let api = Api::start().await;
    api.furnish().await;
    let names =
        prop::sample::select(vec!["sourceUid", "phase", "targetUid", "target", "colour", "", " phase "]);
    let columns = prop_oneof![
        vec(names, 0..6).prop_map(|names| names.join(",").into_bytes()),
        vec(any::<u8>(), 0..40),
    ];
    for columns in samples(CASES, &columns) {
        let input = [&columns[..], b"\nalice,PRE_SYNC\n"].concat();
        let answers = submit(&api, "text/csv", &input, 7, true).await;
        let ends = answers.iter().filter(|answer| answer.get("error").is_some()).count();
        assert!(ends <= 1 && answers.len() <= 2, "{columns:?}: {answers:?}");
        let lines = answers.iter().filter(|answer| answer.get("line").is_some()).count();
        assert_eq!(ends + lines, answers.len(), "{columns:?}: {answers:?}");
    }
}
