//! Where a trace stands, as it is handed on: `traceparent` of W3C Trace Context
//! (<https://www.w3.org/TR/trace-context/>), and what Jaeger's own clients send instead, `uber-trace-id`
//! (<https://www.jaegertracing.io/sdk-migration/#propagation-format>).

use std::{
    fmt,
    num::{NonZeroU64, NonZeroU128},
    str::FromStr,
};

/// Bytes of the text of a [`TraceParent`].
pub const TEXT_BYTES: usize = 55;

/// A trace, the span in it under which the next ones stand, and whether they are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: NonZeroU128,
    /// The span above.
    pub span: NonZeroU64,
    /// Whether whoever began the trace has it recorded.
    pub is_sampled: bool,
}

/// Not the place of a span in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a trace parent")]
pub struct InvalidTraceParent;

impl TraceParent {
    /// Reads `uber-trace-id`: `trace:span:parent:flags` in hexadecimal, with leading zeros left out, and with
    /// `%3A` for `:` where the client encodes it. The third part has no meaning any more.
    pub fn from_jaeger(text: &str) -> Result<Self, InvalidTraceParent> {
        let text = text.replace("%3A", ":").replace("%3a", ":");
        let [trace, span, _, flags] =
            text.split(':').collect::<Vec<_>>().try_into().map_err(|_| InvalidTraceParent)?;
        let flags = u8::try_from(hex(flags, 2)?).map_err(|_| InvalidTraceParent)?;
        // 1 is "sampled", 2 is "debug": record it whatever the sampler says.
        Self::of(hex(trace, 32)?, hex(span, 16)?, flags & 0b11 != 0)
    }

    fn of(trace: u128, span: u128, is_sampled: bool) -> Result<Self, InvalidTraceParent> {
        let span = u64::try_from(span).ok().and_then(NonZeroU64::new);
        let (trace, span) = NonZeroU128::new(trace).zip(span).ok_or(InvalidTraceParent)?;
        Ok(Self { trace, span, is_sampled })
    }

    /// The trace's id as logs and Jaeger write it: 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }
}

/// At least one and at most `most` hexadecimal digits.
fn hex(text: &str, most: usize) -> Result<u128, InvalidTraceParent> {
    // The parser takes a sign, too.
    let is_hex = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_hex.then(|| u128::from_str_radix(text, 16).ok());
    number.flatten().ok_or(InvalidTraceParent)
}

/// Exactly as many hexadecimal digits, in lower case as the recommendation has it.
fn fixed(text: &str, digits: usize) -> Result<u128, InvalidTraceParent> {
    let fits = text.len() == digits && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    if fits { hex(text, digits) } else { Err(InvalidTraceParent) }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    /// Reads `traceparent`. A later version may say more behind what is known.
    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let mut parts = text.split('-');
        let mut next = |digits| fixed(parts.next().unwrap_or_default(), digits);
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let has_more = parts.next().is_some();
        if version == 0xff || (version == 0 && has_more) {
            return Err(InvalidTraceParent);
        }
        Self::of(trace, span, flags & 1 != 0)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.is_sampled))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const W3C: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn traceparent_is_read_as_the_recommendation_says() {
        let parent: TraceParent = W3C.parse().unwrap();
        assert_eq!(parent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.span.get(), 0x00f0_67aa_0ba9_02b7);
        assert!(parent.is_sampled);
        assert_eq!(parent.to_string(), W3C);
        // Only the lowest flag has a meaning here.
        assert!(!W3C.replace("-01", "-02").parse::<TraceParent>().unwrap().is_sampled);
        assert_eq!(format!("01{}-more", &W3C[2..]).parse::<TraceParent>().unwrap(), parent);
        for wrong in [
            "",
            "00",
            &W3C[..54],
            &W3C.to_uppercase(),
            &format!("{W3C}-more"),
            &format!("ff{}", &W3C[2..]),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-000f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(wrong.parse::<TraceParent>(), Err(InvalidTraceParent), "{wrong}");
        }
    }

    #[test]
    fn uber_trace_id_is_read_as_jaeger_writes_it() {
        let parent = TraceParent::from_jaeger("4bf92f3577b34da6a3ce929d0e0e4736:f067aa0ba902b7:0:1").unwrap();
        assert_eq!(parent.to_string(), W3C);
        assert_eq!(TraceParent::from_jaeger("7%3A1a%3A0%3A0").unwrap().trace.get(), 7);
        assert!(TraceParent::from_jaeger("7:1:0:2").unwrap().is_sampled);
        assert!(!TraceParent::from_jaeger("7:1:9:4").unwrap().is_sampled);
        for wrong in
            ["", "7:1:0", "0:1:0:1", "7:0:0:1", "7:1:0:1:1", "g:1:0:1", "7::0:1", "7:1:0:100", "7:+1:0:1"]
        {
            assert_eq!(TraceParent::from_jaeger(wrong), Err(InvalidTraceParent), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn text_and_type_are_the_same(trace in 1_u128.., span in 1_u64.., is_sampled: bool) {
            let (trace, span) = (NonZeroU128::new(trace).unwrap(), NonZeroU64::new(span).unwrap());
            let parent = TraceParent { trace, span, is_sampled };
            prop_assert_eq!(parent.to_string().len(), TEXT_BYTES);
            prop_assert_eq!(parent.to_string().parse(), Ok(parent));
        }

        #[test]
        fn no_text_is_a_panic(text in "\\PC{0,80}|[0-9a-f:%-]{0,80}") {
            let read = [text.parse::<TraceParent>(), TraceParent::from_jaeger(&text)];
            prop_assert!(read.into_iter().flatten().all(|parent| parent.to_string().parse() == Ok(parent)));
        }
    }
}
