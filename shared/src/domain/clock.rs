//! The one source of wall-clock time. Only `notBefore` and what people read ask it; leases never do.

use std::{fmt, sync::Arc};

use time::{OffsetDateTime, UtcOffset, format_description::BorrowedFormatItem, macros::format_description};

/// Tells the wall-clock time, in UTC and in whole milliseconds (what the database keeps).
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> OffsetDateTime + Send + Sync>);

impl Clock {
    /// The machine's clock.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    pub fn system() -> Self {
        Self(Arc::new(OffsetDateTime::now_utc))
    }

    /// A clock that always tells what `tell` returns; for tests.
    pub fn from_fn(tell: impl Fn() -> OffsetDateTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Now, cut to milliseconds.
    pub fn now(&self) -> OffsetDateTime {
        let now = (self.0)();
        now.replace_millisecond(now.millisecond()).unwrap_or(now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// ISO-8601, UTC, two fraction digits: as the original prints times.
const TEXT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:2]Z");

/// A time as text; every record and every answer uses this form.
pub fn to_text(time: OffsetDateTime) -> String {
    // Stored times and the clock's always fit the format.
    time.to_offset(UtcOffset::UTC).format(TEXT).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    #[test]
    fn times_have_two_fraction_digits_and_are_utc() {
        assert_eq!(super::to_text(datetime!(2021-04-16 12:50:08.995 UTC)), "2021-04-16T12:50:08.99Z");
        assert_eq!(super::to_text(datetime!(2021-04-16 14:50:09 +2)), "2021-04-16T12:50:09.00Z");
    }
}
