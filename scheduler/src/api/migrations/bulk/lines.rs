//! Cutting a stream of bytes into lines of bounded length.

use super::quotes::Quotes;

/// Longest line, in bytes.
pub(super) const LINE_LIMIT: usize = 64 * 1024;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// A line of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number, from 1; that of its first line for a CSV record over several.
    pub(super) number: u64,
    /// What stands there, without the line end.
    pub(super) bytes: Result<Vec<u8>, Uncut>,
}

/// Why a line can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Uncut {
    /// It is longer than [`LINE_LIMIT`].
    #[error("the line must not exceed 64 KiB")]
    TooLong,
    /// No record that begins in this line comes to its end; the next line was read for itself.
    #[error("the line opens a quote that is not closed at the end of a field")]
    OpenQuote,
}

/// Cuts what it is fed. Holds no more than one chunk and one line.
#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// How far the buffer was searched for its end.
    scanned: usize,
    /// Where a line end may belong to the line; none for plain lines.
    quotes: Option<Quotes>,
    /// Line ends within the line at hand, and where the first of them stands.
    inner: u64,
    first_end: usize,
    /// The rest of a line that is too long is thrown away.
    skipping: bool,
    number: u64,
    ended: bool,
}

impl Lines {
    /// Lines of CSV, which may hold line ends within quotes, or plain ones.
    pub(super) fn new(csv: bool) -> Self {
        Self { quotes: csv.then(Quotes::default), ..Self::default() }
    }

    /// Adds a chunk of the input.
    pub(super) fn feed(&mut self, chunk: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.first_end = self.first_end.saturating_sub(self.start);
        self.start = 0;
        self.buffer.extend_from_slice(chunk);
    }

    /// The input is over: what is left is the last line.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// The next line that is not empty; none until more is fed.
    pub(super) fn next_line(&mut self) -> Option<Line> {
        loop {
            let line = self.cut()?;
            if line.bytes.as_ref().map_or(true, |bytes| !bytes.is_empty()) {
                return Some(line);
            }
        }
    }

    fn cut(&mut self) -> Option<Line> {
        while let Some(byte) = self.buffer.get(self.scanned).copied() {
            self.scanned += 1;
            if byte == b'\n' {
                if self.skipping || !self.quotes.as_ref().is_some_and(Quotes::are_open) {
                    return Some(self.take(self.scanned - 1));
                }
                if self.inner == 0 {
                    self.first_end = self.scanned - 1;
                }
                self.inner += 1;
            }
            let is_bom = self.number == 0
                && self.buffer[self.start..self.scanned] == BOM[..(self.scanned - self.start).min(3)];
            if let Some(quotes) = &mut self.quotes
                && !is_bom
            {
                quotes.read(byte);
            }
            let too_long = self.scanned - self.start > LINE_LIMIT + 1;
            let malformed = self.quotes.as_ref().is_some_and(Quotes::are_malformed);
            if self.inner > 0 && (too_long || malformed) {
                return Some(self.give_up_record());
            }
            if too_long {
                self.skipping = true;
                self.start = self.scanned;
            }
        }
        if !self.ended {
            return None;
        }
        if self.inner > 0 && !self.skipping {
            return Some(self.give_up_record());
        }
        (self.skipping || self.start < self.buffer.len()).then(|| self.take(self.buffer.len()))
    }

    /// The record over several lines is none: its first line is refused, the second is read for itself.
    fn give_up_record(&mut self) -> Line {
        self.scanned = self.first_end + 1;
        let bytes = Err(Uncut::OpenQuote);
        self.begin_next(1);
        Line { number: self.number, bytes }
    }

    fn take(&mut self, end: usize) -> Line {
        let bytes = self.buffer.get(self.start..end).unwrap_or_default();
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let bytes = if self.number == 0 { bytes.strip_prefix(BOM).unwrap_or(bytes) } else { bytes };
        let fits = !self.skipping && bytes.len() <= LINE_LIMIT;
        let bytes = if fits { Ok(bytes.to_vec()) } else { Err(Uncut::TooLong) };
        let number = self.number + 1;
        self.begin_next(1 + self.inner);
        Line { number, bytes }
    }

    /// The next line begins where the search stands, so many lines further.
    fn begin_next(&mut self, lines: u64) {
        self.start = self.scanned;
        self.number += lines;
        self.inner = 0;
        self.skipping = false;
        self.quotes = self.quotes.as_ref().map(|_| Quotes::default());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(csv: bool, chunks: &[&[u8]]) -> Vec<(u64, Result<Vec<u8>, Uncut>)> {
        let mut lines = Lines::new(csv);
        let mut cut = Vec::new();
        for chunk in chunks {
            lines.feed(chunk);
            while let Some(line) = lines.next_line() {
                cut.push((line.number, line.bytes));
            }
        }
        lines.end();
        while let Some(line) = lines.next_line() {
            cut.push((line.number, line.bytes));
        }
        cut
    }

    #[allow(clippy::unnecessary_wraps, reason = "what lines are compared with")]
    fn some(text: &str) -> Result<Vec<u8>, Uncut> {
        Ok(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_are_cut_over_chunks_and_empty_ones_are_counted() {
        assert_eq!(cut(false, &[b"a\r\n\nb", b"c\nd"]), [(1, some("a")), (3, some("bc")), (4, some("d"))]);
        assert_eq!(cut(true, &[b"a,\"x\ny\"\nb\n"]), [(1, some("a,\"x\ny\"")), (3, some("b"))]);
        assert_eq!(cut(false, &[b"", b""]), []);
        for csv in [false, true] {
            assert_eq!(cut(csv, &[b"\xef\xbb", b"\xbf\"a\"\nb"]), [(1, some("\"a\"")), (2, some("b"))]);
        }
    }

    #[test]
    fn a_quote_opens_at_the_beginning_of_a_field_only() {
        assert_eq!(cut(true, &[b"a\"b,c\nd\n"]), [(1, some("a\"b,c")), (2, some("d"))]);
        assert_eq!(cut(true, &[b"\"a\"\"\n\"\nb"]), [(1, some("\"a\"\"\n\"")), (3, some("b"))]);
        assert_eq!(cut(true, &[b"\xef\xbb\xbf\"a\nb\",c\nd"]), [(1, some("\"a\nb\",c")), (3, some("d"))]);
    }

    #[test]
    fn a_record_that_does_not_end_costs_its_first_line_only() {
        let open = || Err(Uncut::OpenQuote);
        assert_eq!(cut(true, &[b"a,\"b\nc,d\n\"e\"\n"]), [(1, open()), (2, some("c,d")), (3, some("\"e\""))]);
        assert_eq!(cut(true, &[b"a,\"b\nc,\"d\ne\n"]), [(1, open()), (2, open()), (3, some("e"))]);
        // In one line it is for the reader of CSV to refuse.
        assert_eq!(cut(true, &[b"a\n\"b"]), [(1, some("a")), (2, some("\"b"))]);
        let long = format!("\"a\nb\n{}\nc", "x".repeat(2 * LINE_LIMIT));
        for size in [long.len(), 1000] {
            let chunks: Vec<_> = long.as_bytes().chunks(size).collect();
            let lines = cut(true, &chunks);
            assert_eq!(lines, [(1, open()), (2, some("b")), (3, Err(Uncut::TooLong)), (4, some("c"))]);
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_thrown_away_and_the_next_is_read() {
        for csv in [false, true] {
            let fits = "x".repeat(LINE_LIMIT);
            let text = format!("{fits}\r\n\"{fits}{fits}\nb\n{fits}x");
            for size in [text.len(), 1000] {
                let chunks: Vec<_> = text.as_bytes().chunks(size).collect();
                let lines = cut(csv, &chunks);
                let lengths: Vec<_> = lines.iter().map(|line| line.1.as_ref().map(Vec::len).ok()).collect();
                assert_eq!(lengths, [Some(LINE_LIMIT), None, Some(1), None]);
            }
        }
    }

    proptest! {
        #[test]
        fn where_chunks_end_does_not_matter(text in "[a,\"\r\n]{0,40}", size in 1_usize..8, csv: bool) {
            let chunks: Vec<_> = text.as_bytes().chunks(size).collect();
            prop_assert_eq!(cut(csv, &chunks), cut(csv, &[text.as_bytes()]));
        }

        #[test]
        fn every_line_is_in_one_record(text in "[a,\"\n]{0,40}") {
            let lines = cut(true, &[text.as_bytes()]);
            let mut next = 1;
            for (number, bytes) in &lines {
                prop_assert!(*number >= next);
                next = number + 1;
                if let Ok(bytes) = bytes {
                    next += bytes.split(|byte| *byte == b'\n').count() as u64 - 1;
                }
            }
            prop_assert!(next <= 1 + text.split('\n').count() as u64);
        }
    }
}
