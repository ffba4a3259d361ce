//! Keys and variables that nothing reads, with the known one that was probably meant.

use std::collections::BTreeSet;

use super::{
    environment::forms,
    error::{Origin, Warning},
    key::{KeyPattern, environment_form},
    properties::Properties,
};

/// Least likeness of two names (1 is equal) to suggest one for the other.
const LIKENESS: f64 = 0.75;

/// One warning for each key of the files, and each variable that can only be meant for this program,
/// that is neither known nor covered.
pub(super) fn find(
    properties: &Properties,
    known: &BTreeSet<String>,
    covered: &[KeyPattern],
) -> Vec<Warning> {
    let keys = properties.entries.iter().filter(|(_, entry)| entry.origin != Origin::Default);
    let unknown_keys = keys.filter(|(key, _)| !is_known(key, known, covered));
    let mut warnings: Vec<Warning> = unknown_keys
        .map(|(key, entry)| Warning::Unknown {
            name: key.to_owned(),
            origin: entry.origin.clone(),
            nearest: nearest(key, known.iter().map(String::as_str)),
        })
        .collect();
    warnings.extend(unknown_variables(properties, known, covered));
    warnings
}

/// Whether a key, or the list that it is an item of, was asked for.
fn is_known(key: &str, known: &BTreeSet<String>, covered: &[KeyPattern]) -> bool {
    known.contains(key)
        || covered.iter().any(|pattern| pattern.covers(key))
        || key
            .strip_suffix(']')
            .and_then(|key| key.rsplit_once('['))
            .is_some_and(|(list, _)| known.contains(list))
}

fn unknown_variables<'a>(
    properties: &'a Properties,
    known: &'a BTreeSet<String>,
    covered: &'a [KeyPattern],
) -> impl Iterator<Item = Warning> + 'a {
    let known_forms: BTreeSet<String> = known.iter().flat_map(|key| forms(key)).collect();
    let is_covered = |form: &str| {
        // A variable's parts can't be told from its words; a pattern without `*` is compared as text.
        covered.iter().any(|pattern| pattern.covers(&form.replace('_', ".")))
            || properties.entries.iter().any(|(key, _)| {
                environment_form(key) == *form && covered.iter().any(|pattern| pattern.covers(key))
            })
    };
    let own: Vec<(&str, String)> = properties.environment().own().collect();
    own.into_iter().filter(move |(_, form)| !known_forms.contains(form) && !is_covered(form)).map(
        move |(name, form)| Warning::Unknown {
            name: name.to_owned(),
            origin: Origin::Environment(name.to_owned()),
            nearest: nearest_variable(&form, known),
        },
    )
}

fn nearest_variable(form: &str, known: &BTreeSet<String>) -> Option<String> {
    let upper: Vec<String> = known.iter().map(|key| environment_form(key).to_uppercase()).collect();
    nearest(&form.to_uppercase(), upper.iter().map(String::as_str))
}

fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<String> {
    known
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate.to_owned())
}
