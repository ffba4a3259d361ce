//! Times as clients write them.

use time::{
    Date, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset, format_description::well_known::Iso8601,
};

/// Digits of a second's fraction that are kept.
const FRACTION_DIGITS: usize = 9;
/// Longest text that is looked at.
const LENGTH: usize = 80;

/// A time in any form of ISO-8601, basic or extended, in UTC. Without an offset it is one of UTC, without a time
/// of day it is midnight. Years from 1971 to 9998.
pub fn parse(text: &str) -> Option<OffsetDateTime> {
    let text = normal(text)?;
    let form = &Iso8601::PARSING;
    let parsed = OffsetDateTime::parse(&text, form)
        .or_else(|_| PrimitiveDateTime::parse(&text, form).map(PrimitiveDateTime::assume_utc))
        .or_else(|_| Date::parse(&text, form).map(|date| date.with_time(Time::MIDNIGHT).assume_utc()));
    let time = parsed.ok()?.checked_to_offset(UtcOffset::UTC)?;
    (1971..9999).contains(&time.year()).then_some(time)
}

/// Capital letters, a point before the fraction, no more digits than are kept, and the plus sign of an offset,
/// which a query turns into a space.
fn normal(text: &str) -> Option<String> {
    let text = Some(text.trim()).filter(|text| text.len() <= LENGTH && text.is_ascii())?.to_ascii_uppercase();
    let (date, time) =
        text.split_once(['T', ' ']).map_or((&text[..], None), |(date, time)| (date, Some(time)));
    let Some(time) = time else { return Some(text) };
    let time = time.replace(' ', "+").replace(',', ".");
    let time = match time.split_once('.') {
        Some((seconds, rest)) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            format!("{seconds}.{}{}", &rest[..digits.min(FRACTION_DIGITS)], &rest[digits..])
        }
        None => time,
    };
    Some(format!("{date}T{time}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn every_form_of_a_time_is_read() {
        let expected = datetime!(2024-05-01 22:00 UTC);
        for text in [
            "2024-05-01T22:00:00Z",
            "2024-05-01T22:00:00",
            "2024-05-01t22:00:00z",
            "2024-05-01 22:00:00",
            "2024-05-01T22:00:00.000000000000Z",
            "2024-05-01T22:00:00,0Z",
            "2024-05-01T22:00Z",
            "2024-05-01T22:00",
            "2024-05-02T00:00:00+02:00",
            "2024-05-02T00:00:00 02:00",
            "2024-05-01T16:30:00-0530",
            "2024-05-02T00:00:00+02",
            "20240501T220000Z",
            "20240502T000000+0200",
            "2024-W18-3T22:00:00Z",
            "2024-122T22:00:00Z",
            " 2024-05-01T22:00:00Z ",
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        assert_eq!(parse("2024-05-01"), Some(datetime!(2024-05-01 0:00 UTC)));
        assert_eq!(parse("20240501"), Some(datetime!(2024-05-01 0:00 UTC)));
        assert_eq!(
            parse("2024-05-01T22:00:00.1239999999999Z"),
            Some(datetime!(2024-05-01 22:00:00.123999999 UTC))
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "T",
            "today",
            "2024-02-30T00:00:00Z",
            "2024-05-01T25:00:00Z",
            "2024-05-01T22:00:00ZZ",
            "2024-05-01T22:00:00+99:00",
            "9999-12-31T23:59:59-23:59",
            "1970-12-31T23:59:59Z",
            "2024-05-01T22:00:00Z hunter2",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn what_looks_like_a_time_is_read_or_refused(text in "[0-9TZW:+. ,-]{0,30}") {
            let _ = parse(&text);
        }
    }
}
