//! What a process runs with: every setting that was asked for, with its value and where that came from.

use std::{collections::BTreeMap, fmt};

use super::{
    error::{Origin, Warning},
    properties::{Entry, Properties},
};

/// How the value of a setting is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// As it is.
    Text(String),
    /// There is one, and it is a secret.
    Hidden,
    /// There is one with parts of its own, any of which may be a secret (a Command).
    Structure,
    /// There is none.
    Unset,
}

/// A setting's value and its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value.
    pub shown: Shown,
    /// Where it came from; none where there is no value.
    pub origin: Option<Origin>,
}

/// The settings that a reader was asked for.
#[derive(Debug, Default)]
pub(super) struct Asked(BTreeMap<String, Setting>);

impl Asked {
    /// Takes down what was found under `key`. What is known as a secret stays hidden.
    pub(super) fn note(&mut self, key: &str, found: Option<(&str, &Origin)>) {
        if self.0.get(key).is_some_and(|setting| setting.shown == Shown::Hidden) {
            return;
        }
        let shown = found.map_or(Shown::Unset, |(text, _)| Shown::Text(text.to_owned()));
        self.set(key, shown, found.map(|(_, origin)| origin.clone()));
    }

    /// Takes down a value that is not shown as it was found.
    pub(super) fn set(&mut self, key: &str, shown: Shown, origin: Option<Origin>) {
        self.0.insert(key.to_owned(), Setting { shown, origin });
    }

    /// Shows this text instead of what was found. Where nothing was, it is the default.
    pub(super) fn show(&mut self, key: &str, text: String) {
        let origin = self.0.get(key).and_then(|setting| setting.origin.clone());
        self.set(key, Shown::Text(text), Some(origin.unwrap_or(Origin::Default)));
    }

    /// Takes down what counts where nothing is set.
    pub(super) fn otherwise(&mut self, key: &str, default: impl FnOnce() -> String) {
        if self.0.get(key).is_some_and(|setting| setting.shown == Shown::Unset) {
            self.set(key, Shown::Text(default()), Some(Origin::Default));
        }
    }

    fn covers(&self, key: &str) -> bool {
        let names_it = |above: &str, setting: &Setting| {
            let rest = key.strip_prefix(above);
            rest.is_some_and(|rest| {
                rest.is_empty() || (rest.starts_with(['.', '[']) && setting.shown != Shown::Unset)
            })
        };
        self.0.iter().any(|(above, setting)| names_it(above, setting))
    }
}

/// The effective settings; its text is YAML with one key a line, and where each came from as a comment.
#[derive(Debug)]
pub struct Report {
    settings: BTreeMap<String, Setting>,
    without_effect: BTreeMap<String, Origin>,
    /// What an operator should look at.
    pub warnings: Vec<Warning>,
}

impl Report {
    /// `accepts` tells the keys that are taken without effect.
    pub(super) fn new(
        asked: Asked,
        properties: &Properties,
        accepts: impl Fn(&str) -> bool,
        warnings: Vec<Warning>,
    ) -> Self {
        let is_given = |entry: &Entry| entry.origin != Origin::Default;
        let without_effect = properties
            .entries
            .iter()
            .filter(|(key, entry)| is_given(entry) && accepts(key) && !asked.covers(key))
            .map(|(key, entry)| (key.to_owned(), entry.origin.clone()))
            .collect();
        Self { settings: asked.0, without_effect, warnings }
    }

    /// Every setting by its key.
    pub fn settings(&self) -> &BTreeMap<String, Setting> {
        &self.settings
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, Setting { shown, origin }) in &self.settings {
            match shown {
                Shown::Text(text) => write!(f, "{key}: {}", quoted(text))?,
                Shown::Hidden => write!(f, "{key}: <hidden>")?,
                Shown::Structure => write!(f, "{key}: <not shown>")?,
                Shown::Unset => write!(f, "# {key}: not set")?,
            }
            match origin {
                Some(origin) => writeln!(f, "  # {origin}")?,
                None => writeln!(f)?,
            }
        }
        for (key, origin) in &self.without_effect {
            writeln!(f, "# {key}: has no effect ({origin})")?;
        }
        Ok(())
    }
}

/// A scalar of YAML: as it is where that is no other thing than this text, else between quotes.
fn quoted(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_./-:?=&@+%".contains(c))
        && !text.ends_with(':')
        && !text.eq_ignore_ascii_case("null");
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Environment, Reader, Sources};

    const TEXT: &str = "a:
  name: 'x y'
  password: s3cret
  plain: text
  command: { name: curl, arguments: [s3cret] }
  list: [one, two]
  old: 1
unknown: 1
";

    #[test]
    fn it_says_values_and_origins_and_keeps_secrets() {
        let environment =
            Environment::from_variables([("A_PLAIN", "other"), ("A_SEALED", "s3cret"), ("A_WAIT", "PT1M")]);
        let properties = Sources::default().load_text(TEXT, environment).unwrap();
        let mut reader = Reader::new(&properties);
        reader.string("a.name");
        reader.string("a.plain");
        reader.secret("a.password");
        reader.secret("a.sealed");
        reader.deserialize::<serde_json::Value>("a.command");
        reader.list("a.list");
        reader.list_or("a.words", &["w"]);
        reader.duration("a.wait", Duration::from_secs(1), Duration::ZERO..=Duration::from_hours(1));
        reader.duration("a.pause", Duration::from_millis(1500), Duration::ZERO..=Duration::from_hours(1));
        reader.number("a.count", 7, 0..=9);
        reader.bool("a.flag", true);
        reader.choice("a.choice", &[("none", 0), ("some", 1)], 1);
        reader.string("a.nothing");
        reader.accept("a.old");
        let report = reader.finish_with_report().unwrap();
        assert_eq!(
            report.to_string(),
            r#"a.choice: some  # built-in default
a.command: <not shown>  # <text>:5
a.count: 7  # built-in default
a.flag: true  # built-in default
a.list: "one, two"  # <text>:6
a.name: "x y"  # <text>:2
# a.nothing: not set
a.password: <hidden>  # <text>:3
a.pause: 1500ms  # built-in default
a.plain: other  # environment variable A_PLAIN
a.sealed: <hidden>  # environment variable A_SEALED
a.wait: PT1M  # environment variable A_WAIT
a.words: w  # built-in default
# a.old: has no effect (<text>:7)
"#
        );
        assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
    }

    #[test]
    fn what_it_prints_is_read_again_as_the_same() {
        for text in ["", "null", "~", "{dmf}:", "0123", "a: b", "#", "yes", "jdbc:mysql://h:1/x?a=b", "ü\n\""]
        {
            let yaml = format!("key: {}  # comment\n", quoted(text));
            let properties = Sources::default().load_text(&yaml, Environment::default()).unwrap();
            assert_eq!(properties.get("key").map(|(found, _)| found), Some(text), "{yaml}");
        }
    }
}
