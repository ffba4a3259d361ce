//! `${a:b:default}` inside of values.
//!
//! Each name is asked for as a property, then as an environment variable of exactly that name; what
//! follows the last colon is the default. Backticks keep a colon from separating. Values that come from
//! the environment or from secret files are taken as they are.

use super::properties::Properties;

/// Deepest nesting, and longest chain of values that refer to values.
const MAX_DEPTH: usize = 16;
/// Longest text that a value may grow to, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// `text` with every placeholder resolved, or what is wrong with one of them.
pub fn resolve(text: &str, properties: &Properties) -> Result<String, String> {
    resolve_at(text, properties, 0)
}

fn resolve_at(text: &str, properties: &Properties, depth: usize) -> Result<String, String> {
    if depth > MAX_DEPTH {
        return Err("placeholders refer to each other in a circle".to_owned());
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let end = closing_brace(after).ok_or("`${` without a closing `}`")?;
        let (inside, behind) = after.split_at(end);
        out.push_str(before);
        out.push_str(&expand(inside, properties, depth)?);
        if out.len() > MAX_BYTES {
            return Err(format!("grows over {MAX_BYTES} bytes"));
        }
        rest = behind.strip_prefix('}').unwrap_or(behind);
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the `}` stands that closes a placeholder whose inside begins with `text`.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quoted = false;
    for (index, c) in text.char_indices() {
        match c {
            '`' => quoted = !quoted,
            '{' if !quoted => depth += 1,
            '}' if !quoted && depth == 0 => return Some(index),
            '}' if !quoted => depth -= 1,
            _ => {}
        }
    }
    None
}

fn expand(inside: &str, properties: &Properties, depth: usize) -> Result<String, String> {
    let parts = split(inside);
    let (names, default) = match parts.split_last() {
        Some((default, names)) if !names.is_empty() => (names, Some(default)),
        _ => (parts.as_slice(), None),
    };
    for name in names {
        if let Some(value) = find(name.trim(), properties, depth)? {
            return Ok(value);
        }
    }
    match default {
        Some(text) => resolve_at(&text.replace('`', ""), properties, depth + 1),
        None => Err(format!("${{{inside}}} has neither a value nor a default")),
    }
}

/// The parts between the colons that are neither in backticks nor in a nested placeholder.
fn split(inside: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth, mut quoted) = (0, 0_usize, false);
    for (index, c) in inside.char_indices() {
        match c {
            '`' => quoted = !quoted,
            '{' if !quoted => depth += 1,
            '}' if !quoted => depth = depth.saturating_sub(1),
            ':' if !quoted && depth == 0 => {
                parts.push(&inside[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&inside[start..]);
    parts
}

fn find(name: &str, properties: &Properties, depth: usize) -> Result<Option<String>, String> {
    let key = properties.normalise(name);
    let from_file = properties.entries.get(&key).is_some();
    let is_variable = properties.environment.find(&key).is_some();
    match properties.get(&key) {
        Some((text, _)) if from_file && !is_variable => resolve_at(text, properties, depth + 1).map(Some),
        Some((text, _)) => Ok(Some(text.to_owned())),
        None => Ok(properties.environment.get(name).map(str::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{environment::Environment, load::Sources};

    fn properties() -> Properties {
        let environment = Environment::from_variables([("DB_HOST", "db.example"), ("RAW", "${not.read}")]);
        let yaml = "a: one\nchain: '${a}-${a}'\nstorageKey: k";
        Sources::default().load_text(yaml, environment).unwrap()
    }

    #[test]
    fn names_are_asked_in_order_then_the_default() {
        for (text, expected) in [
            ("plain", "plain"),
            ("${a}", "one"),
            ("<${a}|${a}>", "<one|one>"),
            ("${missing:a:x}", "one"),
            ("${missing:x}", "x"),
            ("${missing:}", ""),
            ("${DB_HOST:localhost}", "db.example"),
            ("${db.host}", "db.example"),
            ("${storage-key}", "k"),
            ("${missing:`jdbc:mysql://db:3306/m`}", "jdbc:mysql://db:3306/m"),
            ("${missing:${also.missing:deep}}", "deep"),
            ("${chain}", "one-one"),
            ("${RAW}", "${not.read}"),
            ("cost: $5 {x}", "cost: $5 {x}"),
        ] {
            assert_eq!(resolve(text, &properties()).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn circles_and_floods_end() {
        let flood = (0..14).map(|n| format!("k{n}: '{}'", format!("${{k{}}}", n + 1).repeat(9)));
        let flood = flood.chain(["k14: ffffffff".to_owned()]).collect::<Vec<_>>().join("\n");
        for (yaml, message) in [("a: '${b}'\nb: '${a}'", "circle"), (&flood, "grows over")] {
            let errors = Sources::default().load_text(yaml, Environment::default()).unwrap_err();
            assert!(errors.to_string().contains(message), "{errors}");
        }
    }

    #[test]
    fn what_has_no_value_is_an_error() {
        for text in ["${missing}", "${", "${a", "${missing:${also.missing}}", "${}"] {
            assert!(resolve(text, &properties()).is_err(), "{text}");
        }
    }
}
