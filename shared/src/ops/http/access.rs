//! Who may see what, as the original's framework has it: IP patterns, then rules for URLs, then whether an
//! endpoint is sensitive. The routes of the API have their own check besides, which nothing here opens.

use std::net::IpAddr;

use axum::http::Method;
use regex::Regex;

use super::{ant, endpoints::Endpoints};
use crate::config::Reader;

/// The pattern that stands for every address.
const ANYWHERE: &str = "0.0.0.0";
/// Below it everything checks credentials of its own.
const API: &str = "/dmf/";

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Everybody,
    Authenticated,
    Nobody,
}

/// One entry of `intercept-url-map`.
#[derive(Debug, Clone)]
struct Entry {
    pattern: String,
    method: Option<Method>,
    rule: Rule,
}

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Let it through; what it asks for may have a check of its own.
    Pass,
    /// Let it through if the admin asks.
    AdminOnly,
    /// Refuse it, whoever asks.
    Refuse,
    /// Answer as if there were nothing under that URL.
    Hide,
}

/// All rules.
#[derive(Debug, Clone)]
pub struct AccessRules {
    /// None: from anywhere.
    addresses: Option<Vec<Regex>>,
    /// Those with a method first.
    entries: Vec<Entry>,
    endpoints: Endpoints,
    /// The rules count; without them, only what changes something asks for the admin.
    is_enabled: bool,
    /// An unknown URL answers 401 to those without credentials, not 404.
    pub hides_unknown: bool,
}

impl AccessRules {
    /// Reads `micronaut.security.*` and `endpoints.*`.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let prefix = ["micronaut.security", "micronaut.server.security"];
        let prefix = if reader.is_set(prefix[0]) { prefix[0] } else { prefix[1] };
        let prefix = if reader.is_set(prefix) { prefix } else { "micronaut.security" };
        let key = |name: &str| format!("{prefix}.{name}");
        let is_enabled = reader.bool(&key("enabled"), true);
        if !is_enabled {
            reader.warn(&key("enabled"), "is false: metrics, health and their like are open to everybody");
        }
        Self {
            addresses: addresses(reader, &key("ip-patterns")),
            entries: entries(reader, &key("intercept-url-map")),
            endpoints: Endpoints::read(reader),
            is_enabled,
            hides_unknown: reader.bool(&key("reject-not-found"), true),
        }
    }

    /// What to do with a request from `peer`. `paths` are all names of what it asks for: any of them may be
    /// refused, also one that is written with `%`.
    pub fn judge(&self, peer: Option<IpAddr>, method: &Method, paths: &[&str]) -> Judgement {
        let decoded: Vec<String> = paths.iter().map(|path| decode(path)).collect();
        let paths: Vec<&str> = decoded.iter().map(String::as_str).chain(paths.iter().copied()).collect();
        if paths.iter().any(|path| !self.endpoints.is_enabled(path)) {
            return Judgement::Hide;
        }
        if !self.is_enabled {
            return Judgement::Pass;
        }
        if !self.is_from_allowed(peer) {
            return Judgement::Refuse;
        }
        let rules: Vec<Rule> = paths.iter().filter_map(|path| self.rule(method, path)).collect();
        let is_sensitive = || paths.iter().any(|path| self.endpoints.is_sensitive(path));
        let is_of_api = paths.iter().all(|path| path.starts_with(API));
        match () {
            () if rules.contains(&Rule::Nobody) => Judgement::Refuse,
            () if rules.contains(&Rule::Authenticated) && !is_of_api => Judgement::AdminOnly,
            () if rules.is_empty() && is_sensitive() => Judgement::AdminOnly,
            () => Judgement::Pass,
        }
    }

    /// Whether a path belongs to a management endpoint.
    pub fn is_endpoint(&self, path: &str) -> bool {
        self.endpoints.is_endpoint(path)
    }

    fn is_from_allowed(&self, peer: Option<IpAddr>) -> bool {
        let Some(patterns) = &self.addresses else { return true };
        // Without an address there is no socket: a test.
        let Some(peer) = peer else { return false };
        let text = peer.to_canonical().to_string();
        patterns.iter().any(|pattern| pattern.is_match(&text))
    }

    fn rule(&self, method: &Method, path: &str) -> Option<Rule> {
        let covers = |entry: &&Entry| {
            entry.method.as_ref().is_none_or(|own| own == method) && ant::matches(&entry.pattern, path)
        };
        self.entries.iter().find(covers).map(|entry| entry.rule)
    }
}

/// The path without `%`; what is no UTF-8 then is replaced.
fn decode(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let digits =
            behind.get(..2).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &behind[2..];
        } else {
            bytes.push(first);
            rest = behind;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn addresses(reader: &mut Reader<'_>, key: &str) -> Option<Vec<Regex>> {
    let patterns = reader.list(key)?;
    if patterns.is_empty() {
        reader.reject(key, "is an empty list, which would refuse everybody; leave it out for everybody");
    }
    if patterns.iter().any(|pattern| pattern == ANYWHERE) {
        return None;
    }
    let compiled = patterns.iter().filter_map(|pattern| {
        let compiled = Regex::new(&format!("^(?:{pattern})$")).ok();
        if compiled.is_none() {
            reader.reject(key, &format!("{pattern:?} is no regular expression"));
        }
        compiled
    });
    Some(compiled.collect())
}

fn entries(reader: &mut Reader<'_>, key: &str) -> Vec<Entry> {
    let (with_method, without): (Vec<Entry>, Vec<Entry>) = (0..reader.len(key))
        .filter_map(|index| entry(reader, &format!("{key}[{index}]")))
        .partition(|entry| entry.method.is_some());
    [with_method, without].concat()
}

fn entry(reader: &mut Reader<'_>, key: &str) -> Option<Entry> {
    let pattern = reader.required_string(&format!("{key}.pattern"));
    let method = reader.parsed(&format!("{key}.http-method"), "a method of HTTP", |text| {
        text.trim().to_ascii_uppercase().parse::<Method>().ok()
    });
    let access_key = format!("{key}.access");
    let access = reader.list(&access_key).unwrap_or_default();
    if access.is_empty() {
        reader.missing(&access_key);
        return None;
    }
    let rules: Option<Vec<Rule>> = access.iter().map(|word| rule(word)).collect();
    let Some(rules) = rules else {
        reader.reject(
            &access_key,
            "allowed is isAnonymous(), isAuthenticated() and denyAll(); there are no roles",
        );
        return None;
    };
    // Any of several is enough.
    let rule =
        [Rule::Everybody, Rule::Authenticated, Rule::Nobody].into_iter().find(|rule| rules.contains(rule))?;
    Some(Entry { pattern, method, rule })
}

fn rule(word: &str) -> Option<Rule> {
    match word.trim() {
        "isAnonymous()" | "permitAll()" => Some(Rule::Everybody),
        "isAuthenticated()" => Some(Rule::Authenticated),
        "denyAll()" => Some(Rule::Nobody),
        _ => None,
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
