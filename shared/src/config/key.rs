//! Spelling of keys: what a file may write, and the one form used inside.
//!
//! The rules are the original's framework's: `storageKey`, `storage_key` and `storage-key` are one key.
//! Where operators choose a name themselves (a Source, an injected property, a logger) their spelling
//! must survive, since `Customer_X` and `CustomerX` are two Sources: [`KeyPattern`] says where.

/// Turns one part of a key into the form used inside: camelCase → kebab-case, `_` and space → `-`.
pub fn normalise_segment(segment: &str) -> String {
    let chars: Vec<char> = segment.trim().chars().collect();
    let mut out = String::with_capacity(segment.len() + 4);
    for (index, &c) in chars.iter().enumerate() {
        if c == '_' || c == ' ' {
            out.push('-');
        } else if c.is_uppercase() {
            if begins_word(&chars, index) {
                out.push('-');
            }
            out.extend(c.to_lowercase());
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether the upper-case letter at `index` begins a word: `storage|Key`, `use|SSL`, `HTTP|Server`.
fn begins_word(chars: &[char], index: usize) -> bool {
    let Some(&before) = index.checked_sub(1).and_then(|i| chars.get(i)) else { return false };
    let next_is_lower = chars.get(index + 1).is_some_and(|c| c.is_lowercase());
    before.is_lowercase() || before.is_ascii_digit() || (before.is_uppercase() && next_is_lower)
}

/// The form under which keys and environment variables are compared: lower case, everything that is
/// no letter or digit turned into `_`.
pub fn environment_form(name: &str) -> String {
    name.chars()
        .filter(|&c| c != ']')
        .map(|c| if matches!(c, '.' | '-' | '[') { '_' } else { c })
        .flat_map(char::to_lowercase)
        .collect()
}

/// A set of keys: parts joined by `.`, where `*` stands for any one part and a last `**` for all that
/// follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPattern(Vec<String>);

impl KeyPattern {
    /// Reads a pattern; any text is one.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.split('.').map(str::to_owned).collect())
    }

    /// Whether `key`, or a key above it, is in the set: `a.*` covers `a.b`, `a.b.c` and `a.b[0]`.
    pub fn covers(&self, key: &str) -> bool {
        let mut parts = key.split('.');
        self.0.iter().all(|wanted| match wanted.as_str() {
            "**" => true,
            wanted => parts.next().is_some_and(|part| matches_part(wanted, part)),
        })
    }

    /// Whether the part that follows `above` is one that operators choose.
    fn is_chosen(&self, above: &[String]) -> bool {
        for (index, wanted) in self.0.iter().enumerate() {
            if wanted == "**" {
                return true;
            }
            let Some(part) = above.get(index) else {
                return wanted == "*";
            };
            if !matches_part(wanted, part) {
                return false;
            }
        }
        false
    }
}

/// Whether one part of a key (an index behind it aside) is what the pattern wants.
fn matches_part(wanted: &str, part: &str) -> bool {
    let name = part.split_once('[').map_or(part, |(name, _)| name);
    wanted == "*" || wanted == name || wanted == part
}

/// Joins the parts of a key, each normalised unless one of the patterns leaves it to the operator.
pub fn join(parts: &[&str], verbatim: &[KeyPattern]) -> String {
    let mut done: Vec<String> = Vec::with_capacity(parts.len());
    for part in parts {
        let chosen = verbatim.iter().any(|pattern| pattern.is_chosen(&done));
        done.push(if chosen { (*part).to_owned() } else { normalise_segment(part) });
    }
    done.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_key_meet() {
        for (written, inside) in [
            ("storageKey", "storage-key"),
            ("storage_key", "storage-key"),
            ("storage key", "storage-key"),
            ("storage-key", "storage-key"),
            ("useSSL", "use-ssl"),
            ("HTTPServer", "http-server"),
            ("migration1", "migration1"),
            ("X-API", "x-api"),
            ("pattern[0]", "pattern[0]"),
        ] {
            assert_eq!(normalise_segment(written), inside, "{written}");
        }
    }

    #[test]
    fn chosen_names_keep_their_spelling() {
        let verbatim = [KeyPattern::new("dmf.source.*"), KeyPattern::new("dmf.source.*.command.inject.**")];
        assert_eq!(
            join(&["dmf", "source", "Customer_X", "imapC", "masterUser"], &verbatim),
            "dmf.source.Customer_X.imap-c.master-user"
        );
        assert_eq!(
            join(&["dmf", "source", "Customer_X", "command", "inject", "routeUrl", "B_c"], &verbatim),
            "dmf.source.Customer_X.command.inject.routeUrl.B_c"
        );
        assert_eq!(join(&["dmf", "otherKey"], &verbatim), "dmf.other-key");
    }

    #[test]
    fn patterns_cover_what_is_below() {
        let pattern = KeyPattern::new("datasources.*.dialect");
        assert!(pattern.covers("datasources.default.dialect"));
        assert!(pattern.covers("datasources.default.dialect.x"));
        assert!(!pattern.covers("datasources.default"));
        assert!(!pattern.covers("datasources.default.url"));
        assert!(KeyPattern::new("jackson").covers("jackson.serialization-inclusion"));
        assert!(KeyPattern::new("a").covers("a[3].b"));
    }
}
