//! `details` of a record: what was run, in order, one object with one key for each step.

use serde_json::{Map, Value, json};

use super::{hooks::Kind, secrets::Secrets};
use crate::{doveadm::mail_log::StderrReading, process::Exit};

/// How many blocks of hooks of earlier claims are kept: a migration may be handed back for a day.
const EARLIER_HOOKS: usize = 10;

/// The blocks so far.
#[derive(Debug, Default)]
pub(super) struct Details(Vec<Value>);

impl Details {
    /// Begins with the blocks of earlier claims. Steps that are made anew leave theirs out: what the sync
    /// command did then is in the sums. Losses stay, and the last hooks.
    pub(super) fn resume(mut blocks: Vec<Value>) -> Self {
        blocks.retain(|block| is_hook(block) || block.get("lost").is_some());
        let mut surplus = blocks.iter().filter(|block| is_hook(block)).count().saturating_sub(EARLIER_HOOKS);
        blocks.retain(|block| {
            let drop = surplus > 0 && is_hook(block);
            surplus -= usize::from(drop);
            !drop
        });
        Self(blocks)
    }

    /// Goes on where an earlier claim stopped.
    pub(super) const fn go_on(blocks: Vec<Value>) -> Self {
        Self(blocks)
    }

    /// Sets a field of the last block of a step, where there is one.
    pub(super) fn amend(&mut self, step: &str, field: &str, value: Value) {
        if let Some(block) = self.0.iter_mut().rev().find_map(|block| block.get_mut(step)) {
            block[field] = value;
        }
    }

    /// Adds the block of a step.
    pub(super) fn push(&mut self, step: &str, block: Block) {
        let mut object = Map::new();
        object.insert(step.to_owned(), Value::Object(block.0));
        self.0.push(Value::Object(object));
    }

    /// As it is stored.
    pub(super) fn to_value(&self) -> Value {
        Value::Array(bounded(self.0.clone()))
    }
}

fn is_hook(block: &Value) -> bool {
    [Kind::Pre, Kind::Post, Kind::Failure].iter().any(|kind| block.get(kind.step()).is_some())
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
    pub(super) fn set_errors(
        &mut self,
        ours: Option<String>,
        reading: &StderrReading,
        secrets: &Secrets,
    ) -> &mut Self {
        let lines = ours.into_iter().chain(reading.errors().map(str::to_owned));
        let errors: Vec<_> = lines.map(|line| secrets.hide(line)).collect();
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

    fn keys(details: &Details) -> Vec<&str> {
        details.0.iter().filter_map(|block| block.as_object()?.keys().next().map(String::as_str)).collect()
    }

    #[test]
    fn a_further_claim_makes_its_steps_anew_and_keeps_losses_and_the_last_hooks() {
        let mut blocks = vec![json!({ "lost": {} }), json!({ "dsync": {} }), json!({ "target guard": {} })];
        for number in 0..12 {
            blocks.push(json!({ "pre sync command": { "number": number } }));
        }
        let details = Details::resume(blocks);
        assert_eq!(keys(&details), [&["lost"][..], &["pre sync command"; 10]].concat());
        assert_eq!(details.0[1]["pre sync command"]["number"], 2);
    }

    #[test]
    fn the_last_block_of_a_step_is_amended() {
        let mut details = Details::default();
        details.push("dsync", Block::default());
        details.amend("dsync", "saved", json!({ "INBOX": 1 }));
        details.amend("verification", "saved", json!(1));
        assert_eq!(details.to_value(), json!([{ "dsync": { "saved": { "INBOX": 1 } } }]));
    }

    #[test]
    fn what_is_too_large_is_left_out_and_the_rest_is_kept() {
        let mut details = Details::default();
        let mut block = Block::default();
        let saved: Map<_, _> = (0..100_000).map(|n| (format!("folder {n}"), json!(1))).collect();
        block.set("success", true).set("saved", saved);
        details.push("dsync", block);
        let value = details.to_value();
        assert!(size(&value) < MAX_FIELD_BYTES, "{} bytes", size(&value));
        assert_eq!(value[0]["dsync"]["success"], true);
        assert!(value[0]["dsync"]["saved"].as_str().unwrap().starts_with("left out"));
    }

    #[test]
    fn what_is_small_stays_as_it_is() {
        let mut details = Details::go_on(vec![json!({ "lost": { "success": false } })]);
        let mut block = Block::default();
        block.set("errors", json!(["x".repeat(20_000)]));
        details.push("dsync", block);
        assert_eq!(details.to_value()[1]["dsync"]["errors"][0].as_str().map(str::len), Some(20_000));
    }
}
