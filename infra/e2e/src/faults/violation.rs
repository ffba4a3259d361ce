use std::collections::BTreeSet;

/// Something that must never be seen and was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What it was.
    pub text: String,
    /// Rows of the journal that it is about.
    pub rows: BTreeSet<u64>,
}

impl Violation {
    /// About these rows.
    pub fn of(rows: impl IntoIterator<Item = u64>, text: impl Into<String>) -> Self {
        Self { text: text.into(), rows: rows.into_iter().collect() }
    }

    /// About no row in particular.
    pub fn general(text: impl Into<String>) -> Self {
        Self::of([], text)
    }
}
