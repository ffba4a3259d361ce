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
        Value::Array(self.0.clone())
    }

    /// As it is stored.
    pub(super) fn into_value(self) -> Value {
        Value::Array(self.0)
    }
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
