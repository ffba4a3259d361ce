//! Statements over any number of rows, whose values are spelled out in their text: one round trip, whatever the
//! number. A prepared statement for each number would have to be closed again, and what follows a close waits
//! some 40 ms: the close has no answer, and sqlx leaves Nagle's algorithm on.
//!
//! Nothing that comes from outside can be read as SQL: numbers are written in digits, texts and bytes in hexadecimal,
//! unless a text has nothing but letters, digits and a few harmless signs.

use std::fmt::Write as _;

use futures::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Either, Executor as _, FromRow, MySqlConnection, mysql::MySqlRow};
use time::PrimitiveDateTime;
use uuid::Uuid;

/// A value that can be spelled out.
pub(super) trait Value {
    /// Appends it as a literal of SQL.
    fn spell(&self, text: &mut String);
}

macro_rules! spell_digits {
    ($($number:ty),*) => {
        $(impl Value for $number {
            fn spell(&self, text: &mut String) {
                write(text, format_args!("{self}"));
            }
        })*
    };
}

spell_digits!(u16, u32, u64);

impl Value for bool {
    fn spell(&self, text: &mut String) {
        text.push_str(if *self { "TRUE" } else { "FALSE" });
    }
}

impl Value for [u8] {
    fn spell(&self, text: &mut String) {
        text.push_str("X'");
        for byte in self {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
        text.push('\'');
    }
}

impl Value for str {
    fn spell(&self, text: &mut String) {
        // The empty text between quotes is NULL in some modes of the session.
        if !self.is_empty() && self.bytes().all(is_plain) {
            // Half as long, and faster to read.
            text.extend(["'", self, "'"]);
        } else {
            text.push_str("_utf8mb4 ");
            self.as_bytes().spell(text);
        }
    }
}

/// Whether a byte stands for itself between quotes, whatever the mode of the session.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'@' | b'.' | b'-' | b'_' | b'/' | b':' | b'+' | b' ')
}

impl Value for String {
    fn spell(&self, text: &mut String) {
        self.as_str().spell(text);
    }
}

impl Value for Uuid {
    fn spell(&self, text: &mut String) {
        self.as_bytes()[..].spell(text);
    }
}

impl Value for PrimitiveDateTime {
    fn spell(&self, text: &mut String) {
        let (date, time) = (self.date(), self.time());
        write(
            text,
            format_args!(
                "'{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}'",
                date.year(),
                u8::from(date.month()),
                date.day(),
                time.hour(),
                time.minute(),
                time.second(),
                time.microsecond()
            ),
        );
    }
}

/// A variable of the session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variable(pub(super) &'static str);

impl Value for Variable {
    fn spell(&self, text: &mut String) {
        text.push_str(self.0);
    }
}

impl<V: Value + ?Sized> Value for &V {
    fn spell(&self, text: &mut String) {
        (**self).spell(text);
    }
}

impl<V: Value> Value for Option<V> {
    fn spell(&self, text: &mut String) {
        match self {
            Some(value) => value.spell(text),
            None => text.push_str("NULL"),
        }
    }
}

fn write(text: &mut String, value: std::fmt::Arguments<'_>) {
    // Writing to a String can't fail.
    let _ = text.write_fmt(value);
}

/// A statement under construction.
#[derive(Debug)]
pub(super) struct Statement(String);

impl Statement {
    /// Begins with SQL that is written in this crate.
    pub(super) fn new(sql: impl Into<String>) -> Self {
        Self(sql.into())
    }

    /// Goes on with SQL that is written in this crate.
    #[must_use]
    pub(super) fn sql(mut self, sql: &str) -> Self {
        self.0.push_str(sql);
        self
    }

    /// Goes on with what is spelled out already.
    #[must_use]
    pub(super) fn go_on(self, rest: &Self) -> Self {
        self.sql(&rest.0)
    }

    /// Goes on with a value.
    #[must_use]
    pub(super) fn value(mut self, value: impl Value) -> Self {
        value.spell(&mut self.0);
        self
    }

    /// Goes on with `(a, b, …)`. An empty list is no SQL.
    #[must_use]
    pub(super) fn list<V: Value>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        self.0.push('(');
        let mut separator = "";
        for value in values {
            self.0.push_str(separator);
            value.spell(&mut self.0);
            separator = ", ";
        }
        self.0.push(')');
        self
    }

    /// Goes on with `(a, b), (c, d), …`; `row` puts the values of one item down.
    #[must_use]
    pub(super) fn rows<I>(
        mut self,
        items: impl IntoIterator<Item = I>,
        row: impl Fn(&mut Row<'_>, I),
    ) -> Self {
        let mut separator = "";
        for item in items {
            self.0.push_str(separator);
            self.0.push('(');
            row(&mut Row { text: &mut self.0, separator: "" }, item);
            self.0.push(')');
            separator = ", ";
        }
        self
    }

    /// Goes on with another statement: they run one after the other, until one fails.
    #[must_use]
    pub(super) fn then(mut self, next: &Self) -> Self {
        if !self.0.is_empty() {
            self.0.push_str("; ");
        }
        self.0.push_str(&next.0);
        self
    }

    /// Runs it; gives how many rows it touched.
    pub(super) async fn execute(self, connection: &mut MySqlConnection) -> sqlx::Result<u64> {
        Ok(sqlx::raw_sql(AssertSqlSafe(self.0)).execute(connection).await?.rows_affected())
    }

    /// Runs it; gives all of its rows.
    pub(super) async fn fetch_all<T>(self, connection: &mut MySqlConnection) -> sqlx::Result<Vec<T>>
    where
        T: for<'r> FromRow<'r, MySqlRow>,
    {
        self.fetch_rows(connection).await?.iter().map(T::from_row).collect()
    }

    /// Runs statements that follow each other, in one round trip; gives the answer of each.
    pub(super) async fn run<const COUNT: usize>(
        self,
        connection: &mut MySqlConnection,
    ) -> sqlx::Result<[Answer; COUNT]> {
        let mut answers = std::array::from_fn(|_| Answer::default());
        let mut ended = 0;
        let mut parts = connection.fetch_many(sqlx::raw_sql(AssertSqlSafe(self.0)));
        while let Some(part) = parts.try_next().await? {
            let answer = answers.get_mut(ended).ok_or_else(|| miscounted(COUNT))?;
            match part {
                Either::Left(end) => {
                    answer.affected = end.rows_affected();
                    ended += 1;
                }
                Either::Right(row) => answer.rows.push(row),
            }
        }
        if ended == COUNT { Ok(answers) } else { Err(miscounted(COUNT)) }
    }

    /// The same, as the database has them.
    pub(super) async fn fetch_rows(self, connection: &mut MySqlConnection) -> sqlx::Result<Vec<MySqlRow>> {
        sqlx::raw_sql(AssertSqlSafe(self.0)).fetch_all(connection).await
    }
}

fn miscounted(expected: usize) -> sqlx::Error {
    sqlx::Error::Protocol(format!("there were not {expected} answers"))
}

/// What one of several statements has answered.
#[derive(Default)]
pub(super) struct Answer {
    /// Its rows.
    pub(super) rows: Vec<MySqlRow>,
    /// How many rows it has changed.
    pub(super) affected: u64,
}

impl Answer {
    /// Its rows, decoded.
    pub(super) fn read<T>(&self) -> sqlx::Result<Vec<T>>
    where
        T: for<'r> FromRow<'r, MySqlRow>,
    {
        self.rows.iter().map(T::from_row).collect()
    }
}

/// One row of values.
pub(super) struct Row<'t> {
    text: &'t mut String,
    separator: &'static str,
}

impl Row<'_> {
    /// The next column as a value.
    pub(super) fn value(&mut self, value: impl Value) -> &mut Self {
        self.sql("");
        value.spell(self.text);
        self
    }

    /// The next column as SQL that is written in this crate.
    pub(super) fn sql(&mut self, sql: &str) -> &mut Self {
        self.text.push_str(self.separator);
        self.text.push_str(sql);
        self.separator = ", ";
        self
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn no_text_from_outside_is_sql() {
        let nasty = "a'; DROP TABLE x; -- \\' \u{1F4EC}\0";
        let statement = Statement::new("SELECT ").value(nasty).sql(", ").value(nasty.as_bytes());
        let values = statement.0.strip_prefix("SELECT _utf8mb4 X'").unwrap();
        let (text, bytes) = values.split_once("', X'").unwrap();
        assert!(
            text.bytes().chain(bytes.trim_end_matches('\'').bytes()).all(|byte| byte.is_ascii_hexdigit())
        );
        assert_eq!(text.len(), 2 * nasty.len());
    }

    #[test]
    fn only_harmless_signs_stand_between_quotes() {
        for byte in 0..128_u8 {
            let sign = char::from(byte);
            let quoted = Statement::new("").value(sign.to_string()).0 == format!("'{sign}'");
            assert_eq!(quoted, sign.is_ascii_alphanumeric() || "@.-_/:+ ".contains(sign), "{sign:?}");
        }
        assert_eq!(Statement::new("").value("user1@mail.example").0, "'user1@mail.example'");
        assert_eq!(Statement::new("").value("").0, "_utf8mb4 X''");
        assert_eq!(Statement::new("").value("o'neil").0, "_utf8mb4 X'6F276E65696C'");
    }

    #[test]
    fn statements_follow_each_other() {
        let two = Statement::new("").then(&Statement::new("DO 1")).then(&Statement::new("DO 2"));
        assert_eq!(two.0, "DO 1; DO 2");
    }

    #[test]
    fn values_lists_and_rows() {
        let time = datetime!(2038-01-19 03:14:08.000_25);
        let statement = Statement::new("INSERT INTO t VALUES ")
            .rows([(1_u32, Some("é")), (2, None)], |row, (id, text)| {
                row.value(id).value(text).sql("NOW()").value(true);
            })
            .sql(" WHERE id IN ")
            .list([7_u64, 8])
            .sql(" AND at < ")
            .value(time);
        assert_eq!(
            statement.0,
            "INSERT INTO t VALUES (1, _utf8mb4 X'C3A9', NOW(), TRUE), (2, NULL, NOW(), TRUE) WHERE id IN (7, 8) \
             AND at < '2038-01-19 03:14:08.000250'"
        );
    }
}
