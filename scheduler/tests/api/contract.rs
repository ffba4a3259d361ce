//! Every request of every test is held against the OpenAPI document: the answer's status is documented, its
//! body fits the schema, and what was accepted fits the schema of the request.

use std::sync::OnceLock;

use axum::{
    body::Body,
    http::{HeaderName, Request, header},
};
use dmf_scheduler::api::{openapi, routes::routes};
use serde_json::{Value, json};

use crate::support::Answer;

/// What a request asked for.
#[derive(Debug)]
pub(crate) struct Call {
    method: String,
    path: String,
    version: Option<String>,
}

impl Call {
    pub(crate) fn of(request: &Request<Body>) -> Self {
        let version = request.headers().get("x-api-version").and_then(|value| value.to_str().ok());
        Self {
            method: request.method().as_str().to_lowercase(),
            path: request.uri().path().to_owned(),
            version: version.map(str::to_owned),
        }
    }
}

fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let document = openapi::document(&routes(), &HeaderName::from_static("x-api-key"));
        serde_json::to_value(document).unwrap()
    })
}

/// Panics when an answer to a documented operation is not as documented.
#[track_caller]
pub(crate) fn check(call: &Call, given: Option<&[u8]>, answer: &Answer) {
    let Some(operation) = operation(call) else { return };
    let status = answer.status.as_u16();
    let response = &operation["responses"][status.to_string()];
    assert!(response.is_object(), "the status {status} of {call:?} is not documented: {answer:?}");
    let response = resolved(response);
    let media = media(answer);
    match response.get("content") {
        None => assert_eq!(answer.text, "", "{call:?} is documented without a body"),
        Some(content) => {
            let documented = &content[media.as_str()];
            assert!(documented.is_object(), "{media:?} of {call:?} is not documented: {answer:?}");
            match media.as_str() {
                "application/json" => assert_fits(&documented["schema"], &answer.json(), call),
                "application/x-ndjson" => assert_lines_fit(&documented["itemSchema"], &answer.text, call),
                _ => {}
            }
        }
    }
    let accepts = &operation["requestBody"]["content"]["application/json"]["schema"];
    let given = given.filter(|given| !given.is_empty());
    if let (true, Some(given), true) = (answer.status.is_success(), given, accepts.is_object())
        && call.version.is_none()
    {
        assert_fits(accepts, &serde_json::from_slice(given).unwrap(), call);
    }
}

fn media(answer: &Answer) -> String {
    let value = answer.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().split(';').next().unwrap_or_default().to_owned()
}

/// Each line, but for the one that says why there are no more.
#[track_caller]
fn assert_lines_fit(schema: &Value, text: &str, call: &Call) {
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line.get("error").is_some() {
            assert!(lines.peek().is_none(), "{call:?} goes on after {line}");
        } else {
            assert_fits(schema, &line, call);
        }
    }
}

#[track_caller]
fn assert_fits(schema: &Value, value: &Value, call: &Call) {
    let whole = json!({ "allOf": [schema], "components": document()["components"] });
    let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&whole).unwrap();
    let faults: Vec<_> =
        validator.iter_errors(value).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{call:?} does not fit the document: {faults:?} in {value}");
}

fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => document().pointer(reference.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

/// The operation of a call: that of the path with the fewest varying segments.
fn operation(call: &Call) -> Option<&'static Value> {
    let paths = document()["paths"].as_object().unwrap();
    let matching = paths.iter().filter_map(|(template, item)| Some((varying(template, &call.path)?, item)));
    let operations = matching.filter_map(|(varying, item)| Some((varying, item.get(call.method.as_str())?)));
    operations.min_by_key(|(varying, _)| *varying).map(|(_, operation)| operation)
}

/// How many segments vary, when the path fits the template.
fn varying(template: &str, path: &str) -> Option<usize> {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    if template.len() != path.len() {
        return None;
    }
    let mut varying = 0;
    for (wanted, given) in template.iter().zip(&path) {
        if wanted.starts_with('{') && !given.is_empty() {
            varying += 1;
        } else if wanted != given {
            return None;
        }
    }
    Some(varying)
}

fn answer(status: u16, body: &Value) -> Answer {
    let json = (header::CONTENT_TYPE, "application/json".parse().unwrap());
    Answer {
        status: status.try_into().unwrap(),
        headers: [json].into_iter().collect(),
        text: body.to_string(),
    }
}

fn targets(method: &str) -> Call {
    Call { method: method.to_owned(), path: "/dmf/admin/api/v2/targets".to_owned(), version: None }
}

#[test]
fn an_answer_as_documented_passes() {
    check(
        &targets("get"),
        None,
        &answer(200, &json!([{ "name": "a", "created": "2024-05-01T22:00:00.00Z" }])),
    );
}

#[test]
#[should_panic(expected = "does not fit the document")]
fn a_body_that_is_not_as_documented_is_seen() {
    check(&targets("get"), None, &answer(200, &json!([{ "name": "a", "created": "yesterday" }])));
}

#[test]
#[should_panic(expected = "is not documented")]
fn a_status_that_is_not_documented_is_seen() {
    check(&targets("get"), None, &answer(500, &json!({})));
}

#[test]
#[should_panic(expected = "does not fit the document")]
fn a_request_that_is_accepted_against_the_document_is_seen() {
    let created = json!({ "name": "a", "created": "2024-05-01T22:00:00.00Z" });
    check(&targets("post"), Some(br#"{"name": "-a"}"#), &answer(201, &created));
}
