//! What the documents name is there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// Where a path that a document names may begin.
const PARTS: [&str; 7] = ["scheduler/", "shared/", "worker/", "infra/", "docs/", "loadtest/", "fuzz/"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn documents() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md")];
    let mut directories = vec![root().join("docs")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found
}

/// Texts between backticks that are paths of this repository, without what follows a blank.
fn named_paths(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter_map(|quoted| {
        let path = quoted.split_whitespace().next()?.trim_start_matches("./");
        PARTS.iter().any(|part| path.starts_with(part)).then_some(path)
    })
}

#[test]
fn every_path_in_the_documents_exists() {
    let mut missing = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        // Blocks of commands hold single backticks nowhere; their fences would shift the pairs.
        let prose: String = text.split("```").step_by(2).collect();
        for path in named_paths(&prose) {
            if !path.contains(['*', '<', '{']) && !root().join(path).exists() {
                missing.push(format!("{}: {path}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn paths_are_found_between_backticks() {
    let text = "See `infra/test --x`, `./docs/a.md` and `SELECT 1`; infra/none is not quoted.";
    assert_eq!(named_paths(text).collect::<Vec<_>>(), ["infra/test", "docs/a.md"]);
}
