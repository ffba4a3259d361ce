//! The pages as the document describes them.

use crate::api::openapi::{Answer, Doc, Tag};

/// What the document says of itself.
pub const DOCUMENT: Doc = Doc {
    id: "readDocument",
    summary: "Show this document",
    description: "OpenAPI 3.1 as YAML.",
    tag: Tag::Management,
    query: None,
    body: None,
    answers: &[Answer::text(200, "The document.", "application/yaml").example("\"openapi: 3.1.0\\n…\"")],
    refuses: &[],
};

/// What the document says of Swagger UI.
pub const SWAGGER_UI: Doc = Doc {
    id: "showSwaggerUi",
    summary: "Show the API in Swagger UI",
    description: "A page for browsers that can also call the API.",
    answers: HTML,
    ..DOCUMENT
};

/// What the document says of ReDoc.
pub const REDOC: Doc = Doc {
    id: "showRedoc",
    summary: "Show the API in ReDoc",
    description: "A page for browsers to read.",
    answers: HTML,
    ..DOCUMENT
};

/// What the document says of RapiDoc.
pub const RAPIDOC: Doc = Doc {
    id: "showRapidoc",
    summary: "Show the API in RapiDoc",
    description: "A page for browsers that can also call the API.",
    answers: HTML,
    ..DOCUMENT
};

const HTML: &[Answer] = &[Answer::text(200, "The page.", "text/html").example("\"<!doctype html>…\"")];
