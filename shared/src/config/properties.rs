//! The merged configuration as flat properties: `a.b.c`, `list[0].x`, raw text.

use std::{collections::BTreeMap, fmt};

use zeroize::Zeroizing;

use super::{
    environment::{self, Environment},
    error::Origin,
    key::{self, KeyPattern},
};

/// What stands behind a key.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A scalar, as it is written.
    Text(Zeroizing<String>),
    /// A list; its items stand under `key[0]`, `key[1]` …
    List,
}

/// A value and its origin.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// The properties of the files, before the environment has its say.
#[derive(Clone, Default)]
pub struct Entries(BTreeMap<String, Entry>);

impl Entries {
    /// Sets `key`; a list that stood there goes with all its items.
    pub(super) fn set(&mut self, key: String, value: Value, origin: Origin) {
        self.remove_below(&format!("{key}["));
        self.0.insert(key, Entry { value, origin });
    }

    /// Removes `key` and everything below it.
    pub(super) fn unset(&mut self, key: &str) {
        self.0.remove(key);
        self.remove_below(&format!("{key}."));
        self.remove_below(&format!("{key}["));
    }

    fn remove_below(&mut self, prefix: &str) {
        let below: Vec<String> = self.below(prefix).map(|(rest, _)| format!("{prefix}{rest}")).collect();
        for key in below {
            self.0.remove(&key);
        }
    }

    /// Sets `key` where neither it nor anything below it is set.
    pub(super) fn set_default(&mut self, key: &str, text: &str) {
        if self.first_origin(key).is_none() {
            let value = Value::Text(Zeroizing::new(text.to_owned()));
            self.0.insert(key.to_owned(), Entry { value, origin: Origin::Default });
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.0.get(key)
    }

    pub(super) fn texts_mut(&mut self) -> impl Iterator<Item = (&String, &mut Zeroizing<String>, &Origin)> {
        self.0.iter_mut().filter_map(|(key, entry)| match &mut entry.value {
            Value::Text(text) => Some((key, text, &entry.origin)),
            Value::List => None,
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(key, entry)| (key.as_str(), entry))
    }

    /// Entries whose keys begin with `prefix`, without it.
    fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Entry)> {
        self.0
            .range(prefix.to_owned()..)
            .map_while(move |(key, entry)| key.strip_prefix(prefix).map(|rest| (rest, entry)))
    }

    /// Origin of `key`, or else of the first entry below it.
    fn first_origin(&self, key: &str) -> Option<&Origin> {
        let below = |separator: &str| {
            let prefix = format!("{key}{separator}");
            let (name, entry) = self.0.range(prefix.clone()..).next()?;
            name.starts_with(&prefix).then_some(entry)
        };
        let entry = self.0.get(key).or_else(|| below(".")).or_else(|| below("["))?;
        Some(&entry.origin)
    }
}

/// All properties, the environment over the files. Keys are in the form used inside: kebab-case, but
/// for the names that operators choose.
#[derive(Clone, Default)]
pub struct Properties {
    pub(super) entries: Entries,
    pub(super) environment: Environment,
    pub(super) verbatim: Vec<KeyPattern>,
}

impl Properties {
    /// Text of `key` and where it came from: the environment, then the files.
    pub fn get(&self, key: &str) -> Option<(&str, Origin)> {
        if let Some((variable, value)) = self.environment.find(key) {
            return Some((value, Origin::Environment(variable.to_owned())));
        }
        match self.entries.get(key) {
            Some(Entry { value: Value::Text(text), origin }) => Some((text.as_str(), origin.clone())),
            _ => None,
        }
    }

    /// Items of a list, or the parts between commas where one text stands in its place. None if unset.
    pub fn list(&self, key: &str) -> Option<Vec<String>> {
        if let Some((text, _)) = self.get(key) {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            return Some(parts.map(str::to_owned).collect());
        }
        self.entries.get(key)?;
        let items = (0..self.len(key)).filter_map(|index| self.get(&format!("{key}[{index}]")));
        Some(items.map(|(text, _)| text.to_owned()).collect())
    }

    /// Number of items of the list at `key`, 0 if there is none.
    pub fn len(&self, key: &str) -> usize {
        let mut items = 0;
        while self.exists(&format!("{key}[{items}]")) {
            items += 1;
        }
        items
    }

    /// Names of what stands directly below `key`, as they are spelled inside. The environment adds none:
    /// a variable doesn't say where its names end.
    pub fn names(&self, key: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (rest, _) in self.entries.below(&format!("{key}.")) {
            let name = rest.split(['.', '[']).next().unwrap_or(rest);
            if names.last().is_none_or(|last| last != name) {
                names.push(name.to_owned());
            }
        }
        names.dedup();
        names
    }

    /// Keys below `key` (without it) that hold a text.
    pub fn keys_below(&self, key: &str) -> Vec<String> {
        self.entries
            .below(&format!("{key}."))
            .filter(|(_, entry)| entry.value != Value::List)
            .map(|(rest, _)| rest.to_owned())
            .collect()
    }

    /// Whether `key` or anything below it is set.
    pub fn exists(&self, key: &str) -> bool {
        self.origin(key).is_some()
    }

    /// Whether the files hold a key that this environment variable stands for.
    pub(super) fn files_hold(&self, variable: &str) -> bool {
        let form = key::environment_form(variable);
        self.entries.iter().any(|(key, _)| environment::forms(key).contains(&form))
    }

    /// Where `key`, or the first thing below it, came from.
    pub fn origin(&self, key: &str) -> Option<Origin> {
        match self.get(key) {
            Some((_, origin)) => Some(origin),
            None => self.entries.first_origin(key).cloned(),
        }
    }

    /// Everything at and below `key` as JSON: scalars as strings in their raw text, keys in kebab-case
    /// but for the names that operators choose.
    pub fn value(&self, key: &str) -> Option<serde_json::Value> {
        if let Some((text, _)) = self.get(key) {
            return Some(text.into());
        }
        if self.entries.get(key).is_some() {
            let items = (0..self.len(key)).filter_map(|index| self.value(&format!("{key}[{index}]")));
            return Some(items.collect());
        }
        let names = self.names(key);
        if names.is_empty() {
            return None;
        }
        let pairs = names.into_iter().filter_map(|name| {
            let value = self.value(&format!("{key}.{name}"))?;
            Some((name, value))
        });
        Some(serde_json::Value::Object(pairs.collect()))
    }

    /// The environment that lies over the files.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The form used inside of a key that somebody wrote.
    pub(super) fn normalise(&self, key: &str) -> String {
        key::join(&key.split('.').collect::<Vec<_>>(), &self.verbatim)
    }
}

impl fmt::Debug for Properties {
    /// Keys only: a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.iter().map(|(key, _)| key)).finish()
    }
}
