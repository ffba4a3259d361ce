use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Where Debian and others keep daemons, which an ordinary user's PATH leaves out.
const DAEMON_DIRS: [&str; 5] = ["/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/bin", "/usr/local/bin"];
/// Where Dovecot keeps the programs that its master starts.
const DOVECOT_DIRS: [&str; 3] = ["/usr/lib/dovecot", "/usr/libexec/dovecot", "/usr/local/libexec/dovecot"];

/// A program that a lab runs, and the Debian package that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// File name.
    pub name: &'static str,
    /// Debian package.
    pub package: &'static str,
}

/// The MariaDB server.
pub const MARIADBD: Program = Program { name: "mariadbd", package: "mariadb-server" };
/// Makes an empty MariaDB data directory.
pub const MARIADB_INSTALL_DB: Program = Program { name: "mariadb-install-db", package: "mariadb-server" };
/// The Redis server.
pub const REDIS_SERVER: Program = Program { name: "redis-server", package: "redis-server" };
/// The PostgreSQL server, which only load tests need.
pub const POSTGRES: Program = Program { name: "postgres", package: "postgresql" };
/// Makes an empty PostgreSQL data directory.
pub const INITDB: Program = Program { name: "initdb", package: "postgresql" };
/// Dovecot's master process.
pub const DOVECOT: Program = Program { name: "dovecot", package: "dovecot-core" };
/// Dovecot's command-line tool.
pub const DOVEADM: Program = Program { name: "doveadm", package: "dovecot-core" };
/// Dovecot's IMAP login service, which the source needs.
pub const IMAP_LOGIN: Program = Program { name: "imap-login", package: "dovecot-imapd" };
/// Runs the watchdog.
pub const SHELL: Program = Program { name: "sh", package: "dash" };

/// Every program that some part of a lab needs.
pub const ALL: [Program; 7] =
    [SHELL, MARIADBD, MARIADB_INSTALL_DB, REDIS_SERVER, DOVECOT, DOVEADM, IMAP_LOGIN];

impl Program {
    /// Full path of the program: PATH first, then the usual directories of daemons and of Dovecot.
    ///
    /// # Errors
    /// [`Error::MissingProgram`] names the program and the Debian package that has it.
    pub fn locate(self) -> Result<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let fixed = DAEMON_DIRS.iter().chain(&DOVECOT_DIRS).map(PathBuf::from);
        self.locate_in(std::env::split_paths(&path).chain(fixed))
    }

    /// Full path of the program in the first of `dirs` that has it.
    ///
    /// # Errors
    /// [`Error::MissingProgram`] when none has it.
    pub fn locate_in(self, dirs: impl IntoIterator<Item = PathBuf>) -> Result<PathBuf> {
        dirs.into_iter()
            .map(|dir| dir.join(self.name))
            .find(|file| is_program(file))
            .ok_or(Error::MissingProgram { program: self.name, package: self.package })
    }
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_itself_and_its_package() {
        let empty = tempfile::tempdir().unwrap();
        for program in ALL {
            let error = program.locate_in([empty.path().to_path_buf()]).unwrap_err().to_string();
            assert!(error.contains(program.name), "{error}");
            assert!(error.contains(program.package), "{error}");
        }
    }

    #[test]
    fn a_plain_file_is_no_program() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("dovecot"), "").unwrap();
        assert!(DOVECOT.locate_in([dir.path().to_path_buf()]).is_err());
    }
}
