//! `details` of a record: what was run, in order, one object with one key for each step.

use serde_json::{Map, Value, json};

use crate::{doveadm::mail_log::StderrReading, process::Exit};

/// The blocks so far.
#[derive(Debug, Default)]
pub(super) struct Details(Vec<Value>);

impl Details {
    /// Begins with blocks of earlier claims.
    pub(super) const fn starting_with(blocks: Vec<Value>) -> Self {
        Self(blocks)
    }

    /// Adds the block of a step.
    pub(super) fn push(&mut self, step: &str, block: Block) {
        let mut object = Map::new();
        object.insert(step.to_owned(), Value::Object(block.0));
        self.0.push(Value::Object(object));
    }

    /// As it is stored so far.
    pub(super) fn to_value(&self) -> Value {
        Value::Array(bounded(self.0.clone()))
    }

    /// As it is stored.
    pub(super) fn into_value(self) -> Value {
        Value::Array(bounded(self.0))
    }
}

/// Most bytes of `details`: far below what MariaDB takes in one packet.
const MAX_BYTES: usize = 1 << 20;
/// Most bytes of one field, and most blocks, where there would be more.
const MAX_FIELD_BYTES: usize = 16 << 10;
const MAX_BLOCKS: usize = 50;

/// The blocks, without long fields where they would be too large: a mailbox of a million folders has a million
/// lines to say.
fn bounded(mut blocks: Vec<Value>) -> Vec<Value> {
    if blocks.iter().map(size).sum::<usize>() <= MAX_BYTES {
        return blocks;
    }
    let fields = blocks
        .iter_mut()
        .filter_map(Value::as_object_mut)
        .flat_map(Map::values_mut)
        .filter_map(Value::as_object_mut)
        .flat_map(Map::values_mut);
    for field in fields {
        let bytes = size(field);
        if bytes > MAX_FIELD_BYTES {
            *field = json!(format!("left out: {bytes} bytes"));
        }
    }
    let surplus = blocks.len().saturating_sub(MAX_BLOCKS);
    blocks.drain(..surplus);
    blocks
}

fn size(value: &Value) -> usize {
    value.to_string().len()
}

/// What stands in the place of details that MariaDB refuses.
pub(super) fn refused(why: &str) -> Value {
    json!([{ "details": { "errors": [format!("The database refused the details of this migration: {why}")] } }])
}

/// What is said of one step. Passwords were hidden before anything comes here.
#[derive(Debug, Default)]
pub(super) struct Block(Map<String, Value>);

impl Block {
    /// Sets a field.
    pub(super) fn set(&mut self, field: &str, value: impl Into<Value>) -> &mut Self {
        self.0.insert(field.to_owned(), value.into());
        self
    }

    /// How the program ended: code or signal, never mixed.
    pub(super) fn set_exit(&mut self, exit: Exit) -> &mut Self {
        match exit {
            Exit::Code(code) => self.set("exitCode", code),
            Exit::Signal { signal, .. } => self.set("signal", signal),
        }
    }

    /// What was wrong: a sentence of ours, then the last error lines of the program.
    pub(super) fn set_errors(&mut self, ours: Option<String>, reading: &StderrReading) -> &mut Self {
        let errors: Vec<_> = ours.into_iter().chain(reading.errors().map(str::to_owned)).collect();
        if !errors.is_empty() {
            self.set("errors", json!(errors));
        }
        self
    }
}

/// How a program ended, for a sentence.
pub(super) fn exit_text(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal { signal, .. } => format!("signal {signal}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_left_out_and_the_rest_is_kept() {
        let mut details = Details::default();
        let mut block = Block::default();
        let saved: Map<_, _> = (0..100_000).map(|n| (format!("folder {n}"), json!(1))).collect();
        block.set("success", true).set("saved", saved);
        details.push("dsync", block);
        let value = details.into_value();
        assert!(size(&value) < MAX_FIELD_BYTES, "{} bytes", size(&value));
        assert_eq!(value[0]["dsync"]["success"], true);
        assert!(value[0]["dsync"]["saved"].as_str().unwrap().starts_with("left out"));
    }

    #[test]
    fn what_is_small_stays_as_it_is() {
        let mut details = Details::starting_with(vec![json!({ "lost": { "success": false } })]);
        let mut block = Block::default();
        block.set("errors", json!(["x".repeat(20_000)]));
        details.push("dsync", block);
        assert_eq!(details.to_value()[1]["dsync"]["errors"][0].as_str().map(str::len), Some(20_000));
    }
}
