//! Frames on the control socket: `u32` length of a JSON message, `u32` length of a payload (both big endian), the
//! message, the payload. The payload carries the child's input, which JSON would blow up. Buffers that may hold
//! secrets are wiped.

use std::io::{self, Write};

use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

const HEADER: usize = 8;

/// The longest message: above what Linux takes as arguments and environment together by default.
const MESSAGE_MAX: usize = 4 << 20;

/// The longest payload.
const PAYLOAD_MAX: usize = 16 << 20;

/// A frame that cannot be written or read. Says nothing of the content.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Longer than allowed.
    #[error("{part} of {length} bytes, {limit} are allowed")]
    TooLong {
        /// Message or payload.
        part: &'static str,
        /// Its length.
        length: usize,
        /// The bound.
        limit: usize,
    },
    /// No frame of this protocol. The parser's own words are left out, since they may quote the content.
    #[error("not a frame of this protocol")]
    Malformed,
}

/// One frame as it was read.
pub(super) struct Frame {
    bytes: Zeroizing<Vec<u8>>,
    message_end: usize,
}

impl Frame {
    /// The message.
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, FrameError> {
        let message = self.bytes.get(HEADER..self.message_end).ok_or(FrameError::Malformed)?;
        serde_json::from_slice(message).map_err(|_| FrameError::Malformed)
    }

    /// The payload; often empty.
    pub(super) fn payload(&self) -> &[u8] {
        self.bytes.get(self.message_end..).unwrap_or_default()
    }
}

/// Counts what is written, so that the buffer is allocated once and no copy of a secret is left behind.
struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes the bytes of a frame.
pub(super) fn encode<T: Serialize>(message: &T, payload: &[u8]) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    let mut count = Count(0);
    serde_json::to_writer(&mut count, message).map_err(|_| FrameError::Malformed)?;
    let message_length = length("message", count.0, MESSAGE_MAX)?;
    let payload_length = length("input", payload.len(), PAYLOAD_MAX)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(HEADER + count.0 + payload.len()));
    bytes.extend_from_slice(&message_length.to_be_bytes());
    bytes.extend_from_slice(&payload_length.to_be_bytes());
    serde_json::to_writer(&mut *bytes, message).map_err(|_| FrameError::Malformed)?;
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

fn length(part: &'static str, length: usize, limit: usize) -> Result<u32, FrameError> {
    let too_long = FrameError::TooLong { part, length, limit };
    if length > limit {
        return Err(too_long);
    }
    u32::try_from(length).map_err(|_| too_long)
}

/// Puts frames together from what a socket gives. Never reads past a frame's end, so nothing is left over.
pub(super) struct FrameReader {
    bytes: Zeroizing<Vec<u8>>,
    filled: usize,
    message_end: usize,
}

impl FrameReader {
    pub(super) fn new() -> Self {
        Self { bytes: Zeroizing::new(vec![0; HEADER]), filled: 0, message_end: 0 }
    }

    /// Where the next bytes belong; never empty.
    pub(super) fn vacant(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    /// Takes note that `count` bytes were put into [`Self::vacant`]; gives a frame once it is complete.
    pub(super) fn advance(&mut self, count: usize) -> Result<Option<Frame>, FrameError> {
        self.filled += count;
        if self.filled < self.bytes.len() {
            return Ok(None);
        }
        if self.message_end == 0 {
            self.read_header()?;
            return Ok(None);
        }
        let whole = std::mem::replace(self, Self::new());
        Ok(Some(Frame { bytes: whole.bytes, message_end: whole.message_end }))
    }

    fn read_header(&mut self) -> Result<(), FrameError> {
        let (&[message, payload], []) = self.bytes.as_chunks::<4>() else {
            return Err(FrameError::Malformed);
        };
        let message = bounded("message", u32::from_be_bytes(message), MESSAGE_MAX)?;
        let payload = bounded("input", u32::from_be_bytes(payload), PAYLOAD_MAX)?;
        if message == 0 {
            return Err(FrameError::Malformed);
        }
        self.message_end = HEADER + message;
        // Only the header is copied by this growth.
        self.bytes.resize(self.message_end + payload, 0);
        Ok(())
    }
}

fn bounded(part: &'static str, length: u32, limit: usize) -> Result<usize, FrameError> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > limit { Err(FrameError::TooLong { part, length, limit }) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_all(mut bytes: &[u8], step: usize) -> Result<Vec<Frame>, FrameError> {
        let mut reader = FrameReader::new();
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let vacant = reader.vacant();
            let count = step.min(vacant.len()).min(bytes.len());
            vacant[..count].copy_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            frames.extend(reader.advance(count)?);
        }
        Ok(frames)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            messages in prop::collection::vec((".*", prop::collection::vec(any::<u8>(), 0..300)), 0..5),
            step in 1_usize..400,
        ) {
            let mut stream = Vec::new();
            for (message, payload) in &messages {
                stream.extend_from_slice(&encode(message, payload).unwrap());
            }
            let frames = read_all(&stream, step).unwrap();
            prop_assert_eq!(frames.len(), messages.len());
            for (frame, (message, payload)) in frames.iter().zip(&messages) {
                prop_assert_eq!(&frame.parse::<String>().unwrap(), message);
                prop_assert_eq!(frame.payload(), payload.as_slice());
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), step in 1_usize..64) {
            if let Ok(frames) = read_all(&bytes, step) {
                for frame in frames {
                    let _ = frame.parse::<String>();
                }
            }
        }
    }

    #[test]
    fn refuses_what_is_too_long() {
        let input = vec![0; PAYLOAD_MAX + 1];
        assert!(matches!(encode(&"", &input), Err(FrameError::TooLong { part: "input", .. })));
        let message = "x".repeat(MESSAGE_MAX);
        assert!(matches!(encode(&message, &[]), Err(FrameError::TooLong { part: "message", .. })));
        let mut header = u32::MAX.to_be_bytes().to_vec();
        header.extend_from_slice(&0_u32.to_be_bytes());
        assert!(matches!(read_all(&header, 3), Err(FrameError::TooLong { .. })));
    }

    #[test]
    fn a_frame_without_a_message_is_malformed() {
        assert!(matches!(read_all(&[0; HEADER], 8), Err(FrameError::Malformed)));
    }
}
