//! Where a CSV record stands while it is read byte by byte: a quote opens at the beginning of a field only.

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    FieldStart,
    Plain,
    Quoted,
    /// Behind a quote that closed the field, or is the first half of a doubled one.
    Closed,
    /// Text between a closing quote and the next comma: this is no CSV.
    Malformed,
}

/// The quotes of one record.
#[derive(Debug, Default)]
pub(super) struct Quotes(Place);

impl Quotes {
    /// Takes the next byte of the record.
    pub(super) fn read(&mut self, byte: u8) {
        self.0 = match (self.0, byte) {
            (Place::Closed, b'\r') | (Place::Quoted, b'"') => Place::Closed,
            (Place::Quoted, _) | (Place::FieldStart | Place::Closed, b'"') => Place::Quoted,
            (Place::FieldStart | Place::Plain | Place::Closed, b',') => Place::FieldStart,
            (Place::Closed | Place::Malformed, _) => Place::Malformed,
            (Place::FieldStart | Place::Plain, _) => Place::Plain,
        };
    }

    /// Whether a line end belongs to the record.
    pub(super) fn are_open(&self) -> bool {
        self.0 == Place::Quoted
    }

    /// Whether the record is no CSV, whatever follows.
    pub(super) fn are_malformed(&self) -> bool {
        self.0 == Place::Malformed
    }
}
