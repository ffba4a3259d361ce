//! What `/proc` tells about processes.

use std::{fs, io};

/// Some fields of `/proc/<pid>/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// Field 3; `Z` and `X` are dead.
    pub(super) state: char,
    /// Field 4.
    pub(super) parent: i32,
    /// Field 5.
    pub(super) group: i32,
    /// Field 6.
    pub(super) session: i32,
    /// Field 22, in clock ticks since boot. With the pid it names one process of this boot.
    pub(super) start_time: u64,
}

impl Stat {
    /// Whether the process is anything more than an entry that waits for its parent.
    pub(super) fn lives(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

/// Reads about a process; `None` when there is none of this id.
pub(super) fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The second field is the program's name in parentheses, which may itself hold spaces and parentheses.
fn parse_stat(line: &str) -> Option<Stat> {
    let (_, fields) = line.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Stat {
        state: field(3)?.chars().next()?,
        parent: field(4)?.parse().ok()?,
        group: field(5)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        start_time: field(22)?.parse().ok()?,
    })
}

/// The variable that every child of a guard inherits, whatever session or group it moves to.
pub(super) const GUARD_VARIABLE: &str = "DMF_GUARD";

/// The value of [`GUARD_VARIABLE`] for the children of this guard: its id and its start time, which together name one
/// process of a boot.
pub(super) fn guard_mark(pid: i32, start_time: u64) -> String {
    format!("{pid}.{start_time}")
}

/// Whether a process was started with this mark and still has its first environment. One whose environment this user
/// may not read, or that was given another, is not known.
pub(super) fn carries_mark(pid: i32, mark: &str) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    environment.split(|byte| *byte == 0).any(|variable| {
        variable.strip_prefix(GUARD_VARIABLE.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
            == Some(mark.as_bytes())
    })
}

/// The ids of all processes that can be seen.
pub(super) fn processes() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The children of a single-threaded process. May miss some while they come and go.
pub(super) fn children(pid: i32) -> Vec<i32> {
    match fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")) {
        Ok(list) => list.split_ascii_whitespace().filter_map(|child| child.parse().ok()).collect(),
        // A kernel without CONFIG_PROC_CHILDREN.
        Err(_) => {
            processes().into_iter().filter(|&child| stat(child).is_some_and(|s| s.parent == pid)).collect()
        }
    }
}

/// Names the current boot of the machine.
pub(super) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_a_name_with_spaces_and_parentheses() {
        let line = "77 (a) (b c) S 5 6 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 9 9";
        let expected = Stat { state: 'S', parent: 5, group: 6, session: 7, start_time: 123_456 };
        assert_eq!(parse_stat(line), Some(expected));
    }

    #[test]
    fn reads_this_process() {
        let pid = nix::unistd::getpid().as_raw();
        let this = stat(pid).unwrap();
        assert!(this.lives());
        assert_eq!(this.parent, nix::unistd::getppid().as_raw());
        assert_eq!(this.group, nix::unistd::getpgrp().as_raw());
        assert!(processes().contains(&pid));
    }

    proptest! {
        #[test]
        fn no_line_panics(line in ".*") {
            let _ = parse_stat(&line);
        }
    }
}
