//! CSV as RFC 4180 has it: reading one record, writing one record.

/// A record that is no CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A quote within a field that does not begin with one.
    #[error("a quote stands in a field that does not begin with one")]
    StrayQuote,
    /// Text between a closing quote and the next comma.
    #[error("text stands between a closing quote and the next comma")]
    AfterQuote,
    /// No closing quote.
    #[error("a quote is not closed")]
    Open,
}

/// The fields of one record, without its line end.
pub fn parse(record: &str) -> Result<Vec<String>, Malformed> {
    let mut fields = Vec::new();
    let mut rest = record;
    loop {
        let (field, after) = if let Some(quoted) = rest.strip_prefix('"') {
            unquote(quoted)?
        } else {
            let (field, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
            if field.contains('"') {
                return Err(Malformed::StrayQuote);
            }
            (field.to_owned(), after)
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err(Malformed::AfterQuote),
        }
    }
}

/// The field that ends with the next single quote, and what follows it.
fn unquote(text: &str) -> Result<(String, &str), Malformed> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"').ok_or(Malformed::Open)?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Ok((field, after)),
        }
    }
}

/// A cell that a spreadsheet takes for text, whatever stands there: some run what begins like a formula.
pub fn harmless(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell.to_owned() }
}

/// One record with its line end; fields are quoted where they have to be.
pub fn record<'f>(fields: impl IntoIterator<Item = &'f str>) -> String {
    let quoted = fields.into_iter().map(|field| {
        if field.contains(['"', ',', '\r', '\n']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field.to_owned()
        }
    });
    quoted.collect::<Vec<_>>().join(",") + "\r\n"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_quoted_and_plain_fields() {
        assert_eq!(parse("").unwrap(), [""]);
        assert_eq!(parse("a,,\"b,\"\"c\"\"\",d").unwrap(), ["a", "", "b,\"c\"", "d"]);
        assert_eq!(parse("a\"b"), Err(Malformed::StrayQuote));
        assert_eq!(parse("\"a\"b"), Err(Malformed::AfterQuote));
        assert_eq!(parse("\"a"), Err(Malformed::Open));
    }

    #[test]
    fn formulas_become_text() {
        for (cell, expected) in
            [("=1+1", "'=1+1"), ("-x", "'-x"), ("@a", "'@a"), ("a=b", "a=b"), ("", ""), ("12", "12")]
        {
            assert_eq!(harmless(cell), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(fields in proptest::collection::vec(any::<String>(), 1..6)) {
            let written = record(fields.iter().map(String::as_str));
            prop_assert_eq!(parse(written.strip_suffix("\r\n").unwrap()).unwrap(), fields);
        }

        #[test]
        fn anything_is_read_or_refused(record in any::<String>()) {
            let _ = parse(&record);
        }
    }
}
