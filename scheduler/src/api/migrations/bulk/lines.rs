//! Cutting a stream of bytes into lines of bounded length.

/// Longest line, in bytes.
pub(super) const LINE_LIMIT: usize = 64 * 1024;

/// A line of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number, from 1; that of its first line for a CSV record over several.
    pub(super) number: u64,
    /// What stands there, without the line end; none when it is longer than [`LINE_LIMIT`].
    pub(super) bytes: Option<Vec<u8>>,
}

/// Cuts what it is fed. Holds no more than one chunk and one line.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a state that the others do not tell")]
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// How far the buffer was searched for its end.
    scanned: usize,
    /// Whether a line end within quotes is part of the line.
    quotes: bool,
    inside_quotes: bool,
    /// The rest of a line that is too long is thrown away.
    skipping: bool,
    number: u64,
    /// Line ends within the line at hand.
    inner: u64,
    ended: bool,
}

impl Lines {
    /// Lines of CSV, which may hold line ends within quotes, or plain ones.
    pub(super) fn new(csv: bool) -> Self {
        Self { quotes: csv, ..Self::default() }
    }

    /// Adds a chunk of the input.
    pub(super) fn feed(&mut self, chunk: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
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
            if line.bytes.as_ref().is_none_or(|bytes| !bytes.is_empty()) {
                return Some(line);
            }
        }
    }

    fn cut(&mut self) -> Option<Line> {
        while let Some(byte) = self.buffer.get(self.scanned) {
            self.scanned += 1;
            match byte {
                b'\n' if self.skipping || !self.inside_quotes => {
                    let end = self.scanned - 1;
                    return Some(self.take(end));
                }
                b'\n' => self.inner += 1,
                b'"' if self.quotes => self.inside_quotes = !self.inside_quotes,
                _ => {}
            }
            if self.scanned - self.start > LINE_LIMIT + 1 {
                self.skipping = true;
                self.start = self.scanned;
            }
        }
        if self.ended && (self.skipping || self.start < self.buffer.len()) {
            let end = self.buffer.len();
            return Some(self.take(end));
        }
        None
    }

    fn take(&mut self, end: usize) -> Line {
        let bytes = self.buffer.get(self.start..end).unwrap_or_default();
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let bytes = (!self.skipping && bytes.len() <= LINE_LIMIT).then(|| bytes.to_vec());
        self.start = self.scanned;
        let number = self.number + 1;
        self.number = number + self.inner;
        self.inner = 0;
        self.skipping = false;
        self.inside_quotes = false;
        Line { number, bytes }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(csv: bool, chunks: &[&[u8]]) -> Vec<(u64, Option<Vec<u8>>)> {
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

    #[test]
    fn lines_are_cut_over_chunks_and_empty_ones_are_counted() {
        let some = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(cut(false, &[b"a\r\n\nb", b"c\nd"]), [(1, some("a")), (3, some("bc")), (4, some("d"))]);
        assert_eq!(cut(true, &[b"a,\"x\ny\"\nb\n"]), [(1, some("a,\"x\ny\"")), (3, some("b"))]);
        assert_eq!(cut(false, &[b"", b""]), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_thrown_away_and_the_next_is_read() {
        for csv in [false, true] {
            let fits = "x".repeat(LINE_LIMIT);
            let text = format!("{fits}\r\n\"{fits}{fits}\nb\n{fits}x");
            for size in [text.len(), 1000] {
                let chunks: Vec<_> = text.as_bytes().chunks(size).collect();
                let lines = cut(csv, &chunks);
                let lengths: Vec<_> = lines.iter().map(|line| line.1.as_ref().map(Vec::len)).collect();
                assert_eq!(lengths, [Some(LINE_LIMIT), None, Some(1), None]);
            }
        }
    }

    proptest! {
        #[test]
        fn where_chunks_end_does_not_matter(text in "[a\"\r\n]{0,40}", size in 1_usize..8, csv: bool) {
            let chunks: Vec<_> = text.as_bytes().chunks(size).collect();
            prop_assert_eq!(cut(csv, &chunks), cut(csv, &[text.as_bytes()]));
        }
    }
}
