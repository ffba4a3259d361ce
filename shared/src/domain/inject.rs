//! Property injection: `%{mdb:X}` and `%{conf:Y}` in every text of a command.
//!
//! A command is parsed once into a [`CommandTemplate`] and rendered for each user from [`Properties`].
//! Rendering only fills holes: injected text is never scanned again, never split and never joined, so that
//! whatever it holds stays inside its argv item. The lists `exclude` and `imapcoptions`, standing alone, become
//! several items. Text that came from a password is marked, so that nothing shows it.

mod name;
mod properties;
mod render;
mod template;

pub use name::{ConfName, ListProperty, MdbName, PropertyName};
pub use properties::{Properties, is_secret_key};
pub use render::{Item, RenderedCommand, RenderedLevel, RenderedOption};
pub use template::{CommandTemplate, Compiled};

#[cfg(test)]
mod tests;
