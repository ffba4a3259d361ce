//! What requests are answered: what a route says itself, and what follows from the kind of route.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use dmf_shared::ops::http::problem;
use utoipa::openapi::{
    ArrayBuilder, Content as MediaType, ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response,
    ResponseBuilder, Responses, ResponsesBuilder, Schema, Type,
};

use super::{Answer, Body, Content, Schemas, Shape, example, requests};
use crate::api::{
    error_body::ErrorBody,
    routes::{Access, Route},
};

/// The refusals that all routes share: status, component, when, an example of what is said.
const ERRORS: [(u16, &str, &str, &str); 11] = [
    (400, "BadRequest", "The request is malformed, or a field is wrong.", "name: is required"),
    (401, "Unauthorized", "No credentials, or wrong ones.", "Valid credentials are required"),
    (403, "Forbidden", "The address or the path is not allowed.", "Access is denied by the configuration"),
    (404, "NotFound", "There is no such thing.", "User not found"),
    (408, "Timeout", "The body did not come in time.", "The body did not come in time"),
    (409, "Conflict", "Something is in the way.", "sourceUid: migration 17 of this user is open"),
    (413, "TooLarge", "The body is too large.", "The body must not exceed 1 MiB"),
    (414, "UriTooLong", "The URI is too long.", "The URI must not exceed 8 KiB"),
    (
        415,
        "UnsupportedMediaType",
        "The Content-Type is another one.",
        "Content-Type must be application/json",
    ),
    (
        429,
        "TooManyRequests",
        "Too many requests, or too many wrong credentials.",
        "Too many requests, try again later",
    ),
    (
        503,
        "Unavailable",
        "The database is away, or as many requests are being answered as may be at a time.",
        "The database is not available, try again later",
    ),
];

/// The schemas of errors.
pub(super) fn add(schemas: &mut Schemas) {
    collect_shape(&Shape::of::<ErrorBody>(), schemas);
}

/// The schemas of an answer.
pub(super) fn collect(answer: &Answer, schemas: &mut Schemas) {
    match answer.content {
        Content::Empty | Content::Text(_) => {}
        Content::Json(shape) | Content::List(shape) | Content::JsonOrCsv(shape) | Content::Lines(shape) => {
            collect_shape(&shape, schemas);
        }
    }
}

fn collect_shape(shape: &Shape, schemas: &mut Schemas) {
    let mut parts = Vec::new();
    (shape.parts)(&mut parts);
    schemas.extend(parts);
    schemas.insert((shape.name)().into_owned(), (shape.schema)());
}

/// The refusals as components, by name.
pub(super) fn errors() -> impl Iterator<Item = (String, Response)> {
    ERRORS.iter().map(|(status, name, when, _)| {
        let response = refusal(*status, when);
        let response = match status {
            401 => response.header("WWW-Authenticate", text_header("How to authenticate")),
            429 | 503 => response.header("Retry-After", text_header("Seconds to wait")),
            _ => response,
        };
        ((*name).to_owned(), response.build())
    })
}

fn text_header(description: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new()
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

/// All answers of a route.
pub(super) fn of(route: &Route, schemas: &Schemas) -> Responses {
    let mut responses: BTreeMap<u16, RefOr<Response>> = BTreeMap::new();
    for status in derived(route) {
        if let Some((_, name, ..)) = ERRORS.iter().find(|(known, ..)| *known == status) {
            responses.insert(status, RefOr::Ref(Ref::from_response_name(*name)));
        }
    }
    for (status, when) in route.doc.refuses {
        responses.insert(*status, RefOr::T(refusal(*status, when).build()));
    }
    for answer in route.doc.answers {
        responses.insert(answer.status, RefOr::T(response(answer, schemas)));
    }
    let responses = responses.into_iter().fold(ResponsesBuilder::new(), |responses, (status, response)| {
        responses.response(status.to_string(), response)
    });
    responses.build()
}

/// The refusals that follow from what a route is.
fn derived(route: &Route) -> Vec<u16> {
    let doc = &route.doc;
    // Rules of the configuration may close any route.
    let mut statuses = vec![401, 403, 414, 429, 503];
    if matches!(route.access, Access::Everybody | Access::Configured) {
        // It may be switched off.
        statuses.push(404);
    }
    // A segment may be no UTF-8.
    if route.path.contains('{') {
        statuses.extend([400, 404]);
    }
    if doc.query.is_some() {
        statuses.push(400);
    }
    match doc.body {
        Some(Body::Json(_)) => statuses.extend([400, 408, 413, 415]),
        Some(Body::OptionalJson(_)) => statuses.push(400),
        Some(Body::Lines(_)) => statuses.extend([400, 415]),
        None => {}
    }
    statuses
}

fn refusal(status: u16, when: &str) -> ResponseBuilder {
    let said = ERRORS.iter().find(|(known, ..)| *known == status).map_or("", |(.., said)| said);
    let status = StatusCode::from_u16(status).unwrap_or_default();
    let example = problem::body(status, "/dmf/api/v2/users", &[said.to_owned()]);
    let content =
        ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).example(Some(example)).build();
    ResponseBuilder::new().description(when).content("application/json", content)
}

fn response(answer: &Answer, schemas: &Schemas) -> Response {
    let response = ResponseBuilder::new().description(answer.description);
    let refer = |shape: Shape| RefOr::from(Ref::from_schema_name((shape.name)()));
    let json = |schema: RefOr<Schema>| -> MediaType {
        let example = answer.example.and_then(|text| serde_json::from_str(text).ok());
        let example = example.unwrap_or_else(|| example::of(&schema, schemas));
        ContentBuilder::new().schema(Some(schema)).example(Some(example)).build()
    };
    let response = match answer.content {
        Content::Empty => response,
        Content::Json(shape) => response.content("application/json", json(refer(shape))),
        Content::List(shape) => {
            response.content("application/json", json(ArrayBuilder::new().items(refer(shape)).into()))
        }
        Content::JsonOrCsv(shape) => {
            let csv = ContentBuilder::new()
                .schema(Some(requests::text("A line of column names, then one line for each")))
                .example(Some("id,sourceUid,status\n17,alice@example.com,SUCCESS\n".into()));
            response.content("application/json", json(refer(shape))).content("text/csv", csv.build())
        }
        Content::Lines(shape) => {
            let schema = refer(shape);
            let line = example::of(&schema, schemas);
            let lines = ContentBuilder::new()
                .item_schema(Some(schema))
                .schema(Some(requests::text("One JSON object a line")))
                .example(Some(format!("{line}\n").into()));
            response.content("application/x-ndjson", lines.build())
        }
        Content::Text(media) => response.content(media, json(requests::text("A text"))),
    };
    if answer.status == 201 {
        response.header("Location", text_header("Where it is")).build()
    } else {
        response.build()
    }
}
