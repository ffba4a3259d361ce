//! A unit of systemd, read as far as a test needs it.

use anyhow::{Context as _, Result};

/// Its text.
#[derive(Debug)]
pub(crate) struct Unit(pub(crate) String);

impl Unit {
    /// The value of a key that stands in it once.
    pub(crate) fn value(&self, key: &str) -> Result<&str> {
        let mut values = self.0.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let value = values.next().with_context(|| format!("{key} is not in the unit"))?;
        anyhow::ensure!(values.next().is_none(), "{key} stands in the unit more than once");
        Ok(value)
    }
}
