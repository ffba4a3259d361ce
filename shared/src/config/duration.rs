//! Durations as configurations write them: `500ms`, `15s`, `1h30m`, `7d`, `PT1M`.

use std::time::Duration;

/// Units with their length in milliseconds, longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration: numbers with units, or ISO 8601 (`P1DT2H`, `PT0.5S`). A number without a unit is
/// none.
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    match text.strip_prefix(['P', 'p']) {
        Some(rest) => parse_iso(rest),
        None => parse_units(text),
    }
}

/// Reads a duration, a number without a unit being milliseconds, as connection pools write them.
pub fn parse_millis(text: &str) -> Option<Duration> {
    text.trim().parse().map(Duration::from_millis).ok().or_else(|| parse(text))
}

fn parse_units(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, behind) = leading(rest, |c| c.is_ascii_digit());
        let (unit, behind) = leading(behind.trim_start(), |c| c.is_ascii_alphabetic());
        let unit = unit.to_ascii_lowercase();
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total =
            total.checked_add(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(*millis)?))?;
        rest = behind.trim_start();
    }
    (!text.is_empty()).then_some(total)
}

fn parse_iso(text: &str) -> Option<Duration> {
    let (days, time) = match text.split_once(['T', 't']) {
        Some((days, time)) if !time.is_empty() => (days, time),
        Some(_) => return None,
        None => (text, ""),
    };
    let date = iso_parts(days, &[('D', 86_400)])?;
    let time = iso_parts(time, &[('H', 3_600), ('M', 60), ('S', 1)])?;
    (!text.is_empty()).then_some(date.checked_add(time)?)
}

/// Sums up parts like `2H30M`, each unit at most once and in this order.
fn iso_parts(text: &str, units: &[(char, u32)]) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    for &(unit, secs) in units {
        let (number, behind) = leading(rest, |c| c.is_ascii_digit() || c == '.');
        let Some(behind) = behind.strip_prefix([unit, unit.to_ascii_lowercase()]) else { continue };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let unit = Duration::from_secs(u64::from(secs));
        total = total.checked_add(unit.checked_mul(whole.parse().ok()?)?)?;
        if !fraction.is_empty() {
            let fraction = format!("0.{fraction}").parse::<f64>().ok()?;
            total = total.checked_add(unit.mul_f64(fraction))?;
        }
        rest = behind;
    }
    rest.is_empty().then_some(total)
}

fn leading(text: &str, is_part: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()))
}

/// A duration in the longest unit that leaves no rest: `90s`, `24h`, `0s`.
pub fn format(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    for (name, length) in UNITS {
        let length = u128::from(length);
        if millis.is_multiple_of(length) && (name != "d" || millis > length) {
            return format!("{}{name}", millis / length);
        }
    }
    format!("{millis}ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        for (text, millis) in [
            ("500ms", 500),
            ("15s", 15_000),
            ("15 s", 15_000),
            ("2M", 120_000),
            ("24h", 86_400_000),
            ("7d", 604_800_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("0s", 0),
            ("PT1M", 60_000),
            ("PT0.5S", 500),
            ("PT1.000000001S", 1_000),
            ("P1D", 86_400_000),
            ("P1DT1H1M1S", 90_061_000),
            ("pt1m", 60_000),
        ] {
            assert_eq!(parse(text).map(|d| d.as_millis()), Some(millis), "{text}");
        }
        for bad in [
            "",
            " ",
            "15",
            "s",
            "1x",
            "-1s",
            "1.5s",
            "P",
            "PT",
            "P1H",
            "PT1D",
            "PT1",
            "PT1S1M",
            "PT.S",
            "18446744073709551615d",
            "PT99999999999999999999S",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse_millis("30000"), Some(Duration::from_secs(30)));
        assert_eq!(parse_millis("30s"), Some(Duration::from_secs(30)));
    }

    #[test]
    fn texts() {
        for (millis, text) in [
            (0, "0s"),
            (1, "1ms"),
            (1_500, "1500ms"),
            (90_000, "90s"),
            (86_400_000, "24h"),
            (172_800_000, "2d"),
        ] {
            assert_eq!(format(Duration::from_millis(millis)), text);
        }
    }
}
