//! The command log: what each command of a migration was, everything it said, and how it ended.

mod file;

use dmf_shared::domain::clock::{self, Clock};

use self::file::LogFile;
use super::secrets::Secrets;
use crate::{
    doveadm::argv::Invocation,
    held::Held,
    settings::{CommandLogSettings, PROPERTIES},
};

/// How much of one line is kept, in bytes.
const MAX_LINE: usize = 16 << 10;

/// Where the commands of all migrations of this worker are logged.
#[derive(Debug)]
pub(super) struct CommandLog {
    settings: CommandLogSettings,
    clock: Clock,
}

impl CommandLog {
    /// As the settings say.
    pub(super) const fn new(settings: CommandLogSettings, clock: Clock) -> Self {
        Self { settings, clock }
    }

    /// The log of one command, which is about to start.
    pub(super) fn begin<'l>(
        &'l self,
        held: &Held,
        step: &'l str,
        invocation: &Invocation,
        secrets: &'l Secrets,
    ) -> Entry<'l> {
        let sink = match &self.settings {
            CommandLogSettings::None => Sink::None,
            CommandLogSettings::Log => Sink::Log,
            CommandLogSettings::File { format, location, max_size, .. } => {
                Sink::File(LogFile::new(location.join(file_name(format, held)), *max_size))
            }
        };
        let mut entry = Entry { sink, clock: &self.clock, job: held.name(), step, secrets, line: Vec::new() };
        entry.write(&format!("starts: {}", invocation.display()));
        entry
    }
}

/// The name of a migration's file. Values are escaped, so that none is a path.
fn file_name(format: &str, held: &Held) -> String {
    let claimed = &held.claimed;
    let values = [
        claimed.source.name.to_string(),
        claimed.user.target_uid.clone(),
        claimed.phase.as_str().to_owned(),
        claimed.job.journal.to_string(),
    ];
    let replace = |name: String, (property, value): (&str, &String)| {
        name.replace(&format!("%({property})"), &file::escape(value))
    };
    // Escaped values hold no parenthesis, so nothing that was put in is replaced again.
    PROPERTIES.into_iter().zip(&values).fold(format.to_owned(), replace)
}

/// The log of one command.
#[derive(Debug)]
pub(super) struct Entry<'l> {
    sink: Sink,
    clock: &'l Clock,
    job: String,
    step: &'l str,
    secrets: &'l Secrets,
    line: Vec<u8>,
}

#[derive(Debug)]
enum Sink {
    None,
    Log,
    File(LogFile),
}

impl Entry<'_> {
    /// Takes the next piece of what the command says.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        if matches!(self.sink, Sink::None) {
            return;
        }
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.keep(&bytes[..end]);
            self.end_line();
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
        self.flush();
    }

    /// The command has ended: its standard output follows what it said, then how it ended.
    pub(super) fn end(mut self, stdout: &[u8], how: &str) {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.feed(stdout);
        if !self.line.is_empty() {
            self.end_line();
        }
        self.write(&format!("ends: {how}"));
        self.flush();
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.write(&format!("| {}", String::from_utf8_lossy(&line)));
    }

    fn write(&mut self, text: &str) {
        let text = printable(self.secrets.hide(text.to_owned()));
        let (job, step) = (&self.job, self.step);
        match &mut self.sink {
            Sink::None => {}
            Sink::Log => tracing::info!(target: "dmf_worker::command", "{step} {text}"),
            Sink::File(file) => {
                file.add(&format!("{} {job} {step} {text}\n", clock::to_text(self.clock.now())));
            }
        }
    }

    fn flush(&mut self) {
        if let Sink::File(file) = &mut self.sink
            && let Err(error) = file.flush()
        {
            tracing::warn!(
                file = %file.path().display(),
                error = &error as &dyn std::error::Error,
                "the command log can't be written"
            );
        }
    }
}

/// Without control characters, which could move the cursor of whoever reads it.
fn printable(text: String) -> String {
    if !text.contains(|c: char| c.is_control() && c != '\t') {
        return text;
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(printable("a\tb\r\x1b[31m".to_owned()), "a\tb\\r\\u{1b}[31m");
        assert_eq!(printable("Größe".to_owned()), "Größe");
    }
}
