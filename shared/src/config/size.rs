//! Sizes as configurations write them: `10485760`, `10MB`, `64 KiB`.

/// Reads a size in bytes; units are powers of 1024, as in the original.
pub(super) fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// The shortest spelling that [`parse`] reads again.
pub(super) fn format(bytes: u64) -> String {
    let units = [(30, "GB"), (20, "MB"), (10, "KB")];
    let fitting = units.into_iter().find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    fitting.map_or_else(|| bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        assert_eq!(parse("10485760"), Some(10_485_760));
        assert_eq!(parse("10MB"), Some(10_485_760));
        assert_eq!(parse("64 KiB"), Some(65_536));
        for bad in ["", "MB", "-1", "1.5M", "1T", "99999999999999999999", "18446744073709551615k"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_are_written_as_they_are_read() {
        for (bytes, text) in
            [(0, "0"), (1000, "1000"), (16_384, "16KB"), (10_485_760, "10MB"), (1 << 33, "8GB")]
        {
            assert_eq!(format(bytes), text);
            assert_eq!(parse(text), Some(bytes));
        }
    }
}
