//! For how long something is kept that nobody needs for ever.

use std::time::Duration;

use super::Reader;

const DAY: Duration = Duration::from_hours(24);

/// Reads an age from one day to a hundred years; none is for ever.
pub fn read(reader: &mut Reader<'_>, key: &str) -> Option<Duration> {
    reader.optional_duration(key, DAY..=DAY * 36_500)
}
