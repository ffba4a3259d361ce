//! Faults of processes, stores and lines, and what must hold in spite of them, looked at from outside: MariaDB's
//! rows, Redis's keys, the machine's processes.

mod books;
mod children;
mod hook_log;
mod keys;
mod links;
mod quiet;
mod violation;
mod witness;

pub use books::{Books, Lease, Row};
pub use children::{Child, Children, Process};
pub use hook_log::{HookLog, HookRun};
pub use keys::Keys;
pub use links::StoreLinks;
pub use quiet::expect_quiet;
pub use violation::Violation;
pub use witness::Witness;
