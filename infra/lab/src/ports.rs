use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::error::{Doing as _, Error, Result};

/// Below Linux's default range for outgoing connections (32768 and up), so that no client's port takes the
/// place of a server that is just being restarted.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A loopback port that no other lab of this user takes for as long as this value lives, also while nothing
/// listens on it (a server that is stopped, a proxy that is cut).
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Holds the lock on the byte of this port's number; the system drops it with the process.
    _lock: File,
}

impl Port {
    /// Reserves a free port.
    ///
    /// # Errors
    /// No port is free.
    pub fn reserve() -> Result<Self> {
        let start =
            u16::try_from(RandomState::new().hash_one(std::process::id()) % u64::from(COUNT)).unwrap_or(0);
        for i in 0..COUNT {
            let number = FIRST + (start + i) % COUNT;
            let lock = lock_file()?;
            if lock_byte(&lock, number) && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        Err(Error::Io {
            doing: format!("find a free port in {FIRST}..{}", FIRST + COUNT),
            source: std::io::ErrorKind::AddrInUse.into(),
        })
    }

    /// The number of the port.
    pub fn number(&self) -> u16 {
        self.number
    }
}

fn lock_file() -> Result<File> {
    let path = std::env::temp_dir().join(format!("dmf-lab-ports-{}.lock", nix::unistd::geteuid()));
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .doing(|| format!("open {}", path.display()))
}

/// Locks one byte of the file for this open file alone. Whole-file locks would need a file for each port.
fn lock_byte(file: &File, byte: u16) -> bool {
    #[allow(clippy::cast_possible_truncation, reason = "both constants are below 4, the field is a short")]
    let range = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: libc::off_t::from(byte),
        l_len: 1,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_SETLK(&range)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_not_given_twice_though_nothing_listens() {
        let ports: Vec<Port> = (0..200).map(|_| Port::reserve().unwrap()).collect();
        let mut numbers: Vec<u16> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 200);
    }
}
