//! Typed access to properties that collects every fault instead of stopping at the first.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use secrecy::SecretString;
use serde::de::DeserializeOwned;

use super::{
    duration,
    error::{Errors, Fault, Origin, Warning},
    key::KeyPattern,
    load::read_text,
    parse::{Resource, parse_bool, parse_resource, without_values},
    properties::Properties,
    report::{Asked, Report, Shown},
    size, unknown,
};

/// Reads properties one by one. A faulty value yields its default, and [`Self::finish`] the error, so
/// that everything which is wrong is said at once. Every key that was asked for counts as known.
#[derive(Debug)]
pub struct Reader<'p> {
    properties: &'p Properties,
    known: BTreeSet<String>,
    asked: Asked,
    accepted: Vec<KeyPattern>,
    structures: Vec<KeyPattern>,
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
}

impl<'p> Reader<'p> {
    /// A reader of these properties.
    pub fn new(properties: &'p Properties) -> Self {
        Self {
            properties,
            known: BTreeSet::new(),
            asked: Asked::default(),
            accepted: Vec::new(),
            structures: Vec::new(),
            faults: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The properties behind this reader.
    pub fn properties(&self) -> &'p Properties {
        self.properties
    }

    fn find(&mut self, key: &str) -> Option<(&'p str, Origin)> {
        self.known.insert(key.to_owned());
        let found = self.properties.get(key);
        self.asked.note(key, found.as_ref().map(|(text, origin)| (*text, origin)));
        found
    }

    /// Says what counts where `key` is not set, for the report.
    pub fn otherwise(&mut self, key: &str, default: impl Display) {
        self.asked.otherwise(key, || default.to_string());
    }

    /// Says how the value of `key` is shown in the report: what is given may hold a secret.
    pub fn show(&mut self, key: &str, text: impl Display) {
        self.asked.show(key, text.to_string());
    }

    /// Whether `key` has a value or anything stands below it. Says nothing about the key being known.
    pub fn is_set(&self, key: &str) -> bool {
        self.properties.exists(key)
    }

    /// A text as it is written; none if unset.
    pub fn string(&mut self, key: &str) -> Option<String> {
        self.find(key).map(|(text, _)| text.to_owned())
    }

    /// A text, or `default`.
    pub fn string_or(&mut self, key: &str, default: &str) -> String {
        let text = self.string(key);
        self.otherwise(key, default);
        text.unwrap_or_else(|| default.to_owned())
    }

    /// A text that must be there and not be empty.
    pub fn required_string(&mut self, key: &str) -> String {
        let text = self.string(key).unwrap_or_default();
        if text.is_empty() {
            self.faults.push(Fault::Missing { key: key.to_owned() });
        }
        text
    }

    /// A secret: the key itself, or the content of the file that the variable `<KEY>_FILE` names, its
    /// last line break left out. That variable is heeded only where no key is called so.
    pub fn secret(&mut self, key: &str) -> Option<SecretString> {
        let inline = self.find(key).map(|(text, origin)| (SecretString::from(text), origin));
        if let Some((_, origin)) = &inline {
            self.asked.set(key, Shown::Hidden, Some(origin.clone()));
        }
        let environment = self.properties.environment();
        let file = environment.find_file(key).filter(|(variable, _)| !self.properties.files_hold(variable));
        match (inline, file) {
            (Some((_, Origin::Environment(name))), Some((variable, _))) => {
                self.reject(key, &format!("{name} and {variable} are both set; leave one out"));
                None
            }
            (_, Some((variable, path))) => {
                let path = PathBuf::from(path);
                let origin = Origin::SecretFile { variable: variable.to_owned(), path: path.clone() };
                self.known.insert(format!("{key}.file"));
                self.secret_file(key, &path, origin)
            }
            (inline, None) => inline.map(|(secret, _)| secret),
        }
    }

    fn secret_file(&mut self, key: &str, path: &Path, origin: Origin) -> Option<SecretString> {
        self.asked.set(key, Shown::Hidden, Some(origin.clone()));
        match read_text(path) {
            Ok(text) => {
                let text = text.strip_suffix('\n').unwrap_or(&text);
                Some(SecretString::from(text.strip_suffix('\r').unwrap_or(text)))
            }
            Err(error) => {
                self.faults.push(Fault::Rejected {
                    key: key.to_owned(),
                    message: format!("can't be read: {error}"),
                    origin: Some(origin),
                });
                None
            }
        }
    }

    /// A secret that must be there. The empty secret stands for one that is missing.
    pub fn required_secret(&mut self, key: &str) -> SecretString {
        let faults = self.faults.len();
        self.secret(key).unwrap_or_else(|| {
            if self.faults.len() == faults {
                self.faults.push(Fault::Missing { key: key.to_owned() });
            }
            SecretString::from("")
        })
    }

    /// Whatever `parse` makes of the text; `expected` says what it takes, for the error.
    pub fn parsed<T>(
        &mut self,
        key: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let (text, origin) = self.find(key)?;
        let parsed = parse(text);
        if parsed.is_none() {
            self.faults.push(Fault::Invalid {
                key: key.to_owned(),
                value: Some(text.to_owned()),
                expected: expected.to_owned(),
                origin,
            });
        }
        parsed
    }

    /// `true`, `yes`, `y`, `on` or their opposites.
    pub fn bool(&mut self, key: &str, default: bool) -> bool {
        let value = self.optional_bool(key);
        self.otherwise(key, default);
        value.unwrap_or(default)
    }

    /// As [`Self::bool`], none if unset.
    pub fn optional_bool(&mut self, key: &str) -> Option<bool> {
        self.parsed(key, "true, yes, y, on, false, no, n or off", parse_bool)
    }

    /// A number in `range`, or `default` if unset.
    pub fn number<T>(&mut self, key: &str, default: T, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display,
    {
        let value = self.optional_number(key, range);
        self.otherwise(key, &default);
        value.unwrap_or(default)
    }

    /// A number in `range`, none if unset.
    pub fn optional_number<T>(&mut self, key: &str, range: RangeInclusive<T>) -> Option<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        self.parsed(key, &expected, |text| text.trim().parse().ok().filter(|number| range.contains(number)))
    }

    /// A duration with its unit (`500ms`, `15s`, `24h`, `PT1M`) in `range`, or `default`.
    pub fn duration(&mut self, key: &str, default: Duration, range: RangeInclusive<Duration>) -> Duration {
        let value = self.optional_duration(key, range);
        self.otherwise(key, duration::format(default));
        value.unwrap_or(default)
    }

    /// As [`Self::duration`], none if unset.
    pub fn optional_duration(&mut self, key: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        self.duration_by(key, "500ms, 15s, 24h or PT1M", &range, duration::parse)
    }

    /// As [`Self::duration`], a number without a unit being milliseconds (what the original's connection
    /// pool takes).
    pub fn millis(&mut self, key: &str, default: Duration, range: RangeInclusive<Duration>) -> Duration {
        let written = "milliseconds, or with a unit as in 15s";
        let value = self.duration_by(key, written, &range, duration::parse_millis);
        self.otherwise(key, duration::format(default));
        value.unwrap_or(default)
    }

    fn duration_by(
        &mut self,
        key: &str,
        written: &str,
        range: &RangeInclusive<Duration>,
        parse: fn(&str) -> Option<Duration>,
    ) -> Option<Duration> {
        let (low, high) = (duration::format(*range.start()), duration::format(*range.end()));
        let expected = format!("a duration from {low} to {high}, written like {written}");
        self.parsed(key, &expected, |text| parse(text).filter(|value| range.contains(value)))
    }

    /// A size in bytes in `range` (`10485760`, `10MB`), or `default`.
    pub fn size(&mut self, key: &str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let expected =
            format!("a size from {} to {} bytes, written like 65536 or 64KB", range.start(), range.end());
        let value =
            self.parsed(key, &expected, |text| size::parse(text).filter(|bytes| range.contains(bytes)));
        self.otherwise(key, size::format(default));
        value.unwrap_or(default)
    }

    /// A port; 0 lets the system choose one.
    pub fn port(&mut self, key: &str, default: u16) -> u16 {
        self.number(key, default, 0..=u16::MAX)
    }

    /// Address and port (`127.0.0.1:8080`, `[::1]:8080`).
    pub fn socket_addr(&mut self, key: &str) -> Option<SocketAddr> {
        self.parsed(key, "an IP address with a port, as in 127.0.0.1:8080", |text| text.trim().parse().ok())
    }

    /// A list, or one text whose parts are separated by commas; none if unset.
    pub fn list(&mut self, key: &str) -> Option<Vec<String>> {
        self.known.insert(key.to_owned());
        let list = self.properties.list(key);
        let shown = list.as_ref().map_or(Shown::Unset, |list| Shown::Text(list.join(", ")));
        self.asked.set(key, shown, self.properties.origin(key));
        list
    }

    /// As [`Self::list`], or `default`.
    pub fn list_or(&mut self, key: &str, default: &[&str]) -> Vec<String> {
        let list = self.list(key);
        self.otherwise(key, default.join(", "));
        list.unwrap_or_else(|| default.iter().map(|&item| item.to_owned()).collect())
    }

    /// Number of items of a list of mappings; these are read as `key[0].name`, `key[1].name` …
    pub fn len(&mut self, key: &str) -> usize {
        self.known.insert(key.to_owned());
        let items = self.properties.len(key);
        if items == 0 {
            self.asked.note(key, None);
        }
        items
    }

    /// A file, with or without `file:` before it; `classpath:` is refused.
    pub fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.parsed(key, "the path of a file", |text| match parse_resource(text) {
            Some(Resource::File(path)) => Some(path),
            _ => None,
        })
    }

    /// As [`Self::path`], or `default`.
    pub fn path_or(&mut self, key: &str, default: &str) -> PathBuf {
        let path = self.path(key);
        self.otherwise(key, default);
        path.unwrap_or_else(|| PathBuf::from(default))
    }

    /// A file or something that the original ships inside its package.
    pub fn resource(&mut self, key: &str) -> Option<Resource> {
        self.parsed(key, "a path, with file: or classpath: before it", parse_resource)
    }

    /// One of a few words, in any case, or `default`.
    pub fn choice<T: Clone + PartialEq>(&mut self, key: &str, choices: &[(&str, T)], default: T) -> T {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let chosen = self.parsed(key, &words.join(", "), |text| {
            let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text.trim()));
            found.map(|(_, value)| value.clone())
        });
        if let Some((word, _)) = choices.iter().find(|(_, value)| *value == default) {
            self.otherwise(key, word);
        }
        chosen.unwrap_or(default)
    }

    /// Everything below `key` as a type of its own (a Command); every scalar reaches it as a string, and
    /// keys are kebab-case.
    pub fn deserialize<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        self.structures.push(KeyPattern::new(key));
        let value = self.properties.value(key);
        let shown = if value.is_some() { Shown::Structure } else { Shown::Unset };
        self.asked.set(key, shown, self.properties.origin(key));
        let value = value?;
        serde_json::from_value(value)
            .map_err(|error| self.reject(key, &without_values(&error.to_string())))
            .ok()
    }

    /// Names of what stands directly below `key`.
    pub fn names(&self, key: &str) -> Vec<String> {
        self.properties.names(key)
    }

    /// All texts below `key`, by their remaining key (`logger.levels` → `dmf.worker` → `DEBUG`).
    pub fn text_map(&mut self, key: &str) -> BTreeMap<String, String> {
        let below = self.properties.keys_below(key);
        below
            .into_iter()
            .filter_map(|rest| Some((rest.clone(), self.string(&format!("{key}.{rest}"))?)))
            .collect()
    }

    /// As [`Self::text_map`], for values that may be secrets.
    pub fn secret_map(&mut self, key: &str) -> BTreeMap<String, SecretString> {
        let below = self.properties.keys_below(key);
        below
            .into_iter()
            .filter_map(|rest| Some((rest.clone(), self.secret(&format!("{key}.{rest}"))?)))
            .collect()
    }

    /// Accepts all that `pattern` covers (`jackson`, `datasources.*.dialect`) without any effect.
    pub fn accept(&mut self, pattern: &str) {
        self.accepted.push(KeyPattern::new(pattern));
    }

    /// Reports a value that is wrong in its context; must not name a secret.
    pub fn reject(&mut self, key: &str, message: &str) {
        let origin = self.properties.origin(key);
        self.faults.push(Fault::Rejected { key: key.to_owned(), message: message.to_owned(), origin });
    }

    /// Reports that a key is missing in its context.
    pub fn missing(&mut self, key: &str) {
        self.faults.push(Fault::Missing { key: key.to_owned() });
    }

    /// Remarks on a key that the operator should look at.
    pub fn warn(&mut self, key: &str, message: &str) {
        self.warnings.push(Warning::Note { key: key.to_owned(), message: message.to_owned() });
    }

    /// All faults, or else all warnings, with one for each key that nothing reads.
    pub fn finish(self) -> Result<Vec<Warning>, Errors> {
        self.finish_with_report().map(|report| report.warnings)
    }

    /// As [`Self::finish`], with every setting that was asked for.
    pub fn finish_with_report(mut self) -> Result<Report, Errors> {
        if !self.faults.is_empty() {
            return Err(Errors(self.faults));
        }
        let covered = [self.structures, self.accepted.clone()].concat();
        self.warnings.extend(unknown::find(self.properties, &self.known, &covered));
        let accepts = |key: &str| self.accepted.iter().any(|pattern| pattern.covers(key));
        Ok(Report::new(self.asked, self.properties, accepts, self.warnings))
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
