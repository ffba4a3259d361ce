//! Whatever a client sends as a command: a command or faults, and what is a command stays the same over JSON.

#![no_main]

use dmf_shared::domain::{command::Command, command_rules};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = serde_json::from_slice(bytes) else { return };
    if let Ok((command, _)) = command_rules::read_from_api(&value) {
        let again = serde_json::to_value(&command).map(|value| Command::from_value(&value));
        assert!(matches!(again, Ok(Ok(again)) if again.argv() == command.argv()));
    }
});
