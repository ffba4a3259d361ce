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

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn spellings() {
        assert_eq!(parse("10485760"), Some(10_485_760));
        assert_eq!(parse("10MB"), Some(10_485_760));
        assert_eq!(parse("64 KiB"), Some(65_536));
        for bad in ["", "MB", "-1", "1.5M", "1T", "99999999999999999999", "18446744073709551615k"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
