//! Names of the per-source tables. Built here, from a validated [`SourceName`], and nowhere else.

use sqlx::AssertSqlSafe;

use crate::domain::ids::SourceName;

/// The tables of one Source.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    users: String,
    journal: String,
}

impl Tables {
    /// The tables of the Source of this name.
    pub(super) fn of(source: &SourceName) -> Self {
        Self { users: format!("users{source}"), journal: format!("journal{source}") }
    }

    /// A statement in which `{users}` and `{journal}` become the table names. Nothing else is
    /// replaced, so that the only text that is not written in this crate is a validated name.
    pub(super) fn sql(&self, template: &'static str) -> AssertSqlSafe<String> {
        AssertSqlSafe(self.text(template))
    }

    /// The same as text, for a statement that is built further.
    pub(super) fn text(&self, template: &'static str) -> String {
        template.replace("{users}", &self.users).replace("{journal}", &self.journal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_in() {
        let tables = Tables::of(&"CustomerX".parse().unwrap());
        assert_eq!(tables.text("{users} {journal}"), "usersCustomerX journalCustomerX");
    }
}
