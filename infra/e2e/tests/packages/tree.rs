//! A small system in a directory: the few programs that maintainer scripts may run, the accounts that each Debian has,
//! and a package database that knows what the packages depend on. dpkg installs there as on a machine.
//!
//! An ordinary user has it too: as root of a user namespace, whom fakeroot shows the owners that files would have.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::package::{Package, output};

/// Where an administrator's programs are.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What maintainer scripts may run.
const PROGRAMS: [&str; 14] = [
    "sh",
    "chgrp",
    "chmod",
    "chown",
    "deb-systemd-helper",
    "deb-systemd-invoke",
    "getent",
    "groupdel",
    "mkdir",
    "perl",
    "rm",
    "rmdir",
    "useradd",
    "userdel",
];
/// Links of a merged /usr, as far as the machine has them.
const LINKS: [&str; 4] = ["bin", "sbin", "lib", "lib64"];
const DIRECTORIES: [&str; 9] = [
    "dev",
    "etc",
    "run/systemd/system",
    "tmp",
    "usr/bin",
    "usr/sbin",
    "var/lib/dpkg/info",
    "var/lib/systemd",
    "var/log",
];
/// The package that owns the links of a merged /usr: dpkg removes what nobody owns any more.
const OWNER_OF_LINKS: &str = "base-files";
/// What maintainer scripts ask before they do something to a service: it notes that and refuses.
const POLICY: &str = "#!/bin/sh\necho \"$@\" >>/var/log/policy\nexit 101\n";
/// Records of dpkg and of the accounts, which tell what was done; no package leaves them behind.
const RECORDS: [&str; 3] = ["var/lib/dpkg", "var/log", "run"];

/// The system.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
    /// What fakeroot remembers, for an ordinary user.
    owners: Option<PathBuf>,
    _dir: TempDir,
}

impl Tree {
    /// A system where everything is installed that these packages depend on, and they are not.
    pub(crate) fn before(package: &Package) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let root = dir.path().join("root");
        let owners = (!nix::unistd::geteuid().is_root()).then(|| dir.path().join("owners"));
        if let Some(owners) = &owners {
            fs::write(owners, "")?;
        }
        fs::create_dir(&root)?;
        let tree = Self { root, owners, _dir: dir };
        for name in DIRECTORIES {
            fs::create_dir_all(tree.path(name))?;
        }
        tree.link_usr()?;
        for program in PROGRAMS {
            tree.copy_program(&locate(program)?)?;
        }
        for modules in perl_modules()? {
            output(Command::new("cp").arg("--archive").arg(&modules).arg(tree.parent_of(&modules)?))?;
        }
        tree.write_accounts()?;
        tree.write("usr/sbin/policy-rc.d", POLICY)?;
        fs::set_permissions(tree.path("usr/sbin/policy-rc.d"), Permissions::from_mode(0o755))?;
        tree.write("var/lib/dpkg/status", &(record(OWNER_OF_LINKS)? + &dependencies(package)?))?;
        let owned: String = LINKS.iter().flat_map(|name| ["/", name, "\n"]).collect();
        tree.write(&format!("var/lib/dpkg/info/{OWNER_OF_LINKS}.list"), &format!("/.\n{owned}"))?;
        // An ordinary user can make no device; some random bytes are enough.
        let mut random = [0; 64];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        fs::write(tree.path("dev/urandom"), random)?;
        Ok(tree)
    }

    /// A path of the system, as others see it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    pub(crate) fn read(&self, path: &str) -> Result<String> {
        fs::read_to_string(self.path(path)).with_context(|| path.to_owned())
    }

    /// Changes a file in place, so that owner and mode stay.
    pub(crate) fn edit(&self, path: &str, change: impl FnOnce(String) -> Result<String>) -> Result<()> {
        let text = change(self.read(path)?)?;
        self.write(path, &text)
    }

    /// Runs dpkg on the system, with the answer of an administrator who keeps his settings.
    pub(crate) fn dpkg(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.as_root("dpkg");
        command.arg("--force-confold").arg(format!("--root={}", self.root.display()));
        // Else it is the machine's.
        command.arg(format!("--log={}", self.path("var/log/dpkg.log").display()));
        output(command.args(arguments).stdin(std::process::Stdio::null()))
    }

    pub(crate) fn install(&self, package: &Package) -> Result<String> {
        self.dpkg(&["--install", &package.path.display().to_string()])
    }

    /// A command inside, as root.
    pub(crate) fn inside(&self, program: &str) -> Command {
        let mut command = self.as_root("chroot");
        command.arg(&self.root).arg(program);
        command
    }

    /// A command inside as a user of the system, in the place of this process: no other stands between. An ordinary
    /// user remains who he is.
    pub(crate) fn inside_as(&self, user: &str, program: &str) -> Result<Command> {
        let Some(account) = self.account("etc/passwd", user)? else {
            anyhow::bail!("{user} is no user of the system")
        };
        let [_, _, uid, gid, ..] = account.split(':').collect::<Vec<_>>()[..] else {
            anyhow::bail!("{account} is no account")
        };
        let mut command = if self.owners.is_some() {
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "chroot"]);
            command
        } else {
            let mut command = Command::new("chroot");
            command.arg(format!("--userspec={uid}:{gid}")).arg(format!("--groups={gid}"));
            command
        };
        command.env_clear().env("PATH", PATH).arg(&self.root).arg(program);
        Ok(command)
    }

    /// The line of a user or group.
    pub(crate) fn account(&self, file: &str, name: &str) -> Result<Option<String>> {
        let start = format!("{name}:");
        Ok(self.read(file)?.lines().find(|line| line.starts_with(&start)).map(str::to_owned))
    }

    /// Mode, user and group of a path.
    pub(crate) fn owner(&self, path: &str) -> Result<String> {
        let stat = output(self.as_root("stat").args(["--format", "%a %u %g"]).arg(self.path(path)))?;
        let [mode, uid, gid] = stat.split_whitespace().collect::<Vec<_>>()[..] else {
            anyhow::bail!("{stat} is no owner")
        };
        Ok(format!("{mode} {} {}", self.name("etc/passwd", uid)?, self.name("etc/group", gid)?))
    }

    /// What maintainer scripts wanted to be done to services since the last call.
    pub(crate) fn asked_policy(&self) -> Result<Vec<String>> {
        let path = self.path("var/log/policy");
        if !path.exists() {
            return Ok(Vec::new());
        }
        let asked = fs::read_to_string(&path)?.lines().map(str::to_owned).collect();
        fs::remove_file(path)?;
        Ok(asked)
    }

    /// All files, directories and links but records.
    pub(crate) fn contents(&self) -> Result<BTreeSet<PathBuf>> {
        let listed = output(self.as_root("find").arg(&self.root).args(["-printf", "%P\\n"]))?;
        let is_record = |path: &str| {
            // The copies that the tools make of the accounts before they change them.
            let is_copy = path == "etc/.pwd.lock"
                || path.starts_with("etc/") && (path.ends_with('-') || path.contains("sub"));
            is_copy || path == "dev/null" || RECORDS.iter().any(|record| path.starts_with(record))
        };
        Ok(listed.lines().filter(|path| !is_record(path)).map(PathBuf::from).collect())
    }

    /// Copies what a program is linked to.
    pub(crate) fn copy_libraries(&self, program: &Path) -> Result<()> {
        let linked = output(Command::new("ldd").arg(program))?;
        let libraries = linked.lines().filter_map(|line| {
            line.split_whitespace().find(|word| word.starts_with('/')).map(|path| path.trim_end_matches(':'))
        });
        for library in libraries {
            self.copy(Path::new(library))?;
        }
        Ok(())
    }

    fn link_usr(&self) -> Result<()> {
        for name in LINKS {
            let on_machine = Path::new("/").join(name);
            if let Ok(to) = fs::read_link(&on_machine) {
                fs::create_dir_all(self.root.join(&to))?;
                symlink(to, self.root.join(name))?;
            }
        }
        Ok(())
    }

    fn copy_program(&self, program: &Path) -> Result<()> {
        self.copy(program)?;
        let is_script = fs::read(program)?.starts_with(b"#!");
        if is_script { Ok(()) } else { self.copy_libraries(program) }
    }

    fn copy(&self, path: &Path) -> Result<()> {
        let to = self.root.join(path.strip_prefix("/")?);
        self.parent_of(path)?;
        if !to.exists() {
            fs::copy(path, &to).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    fn parent_of(&self, path: &Path) -> Result<PathBuf> {
        let parent = path.parent().context("it lies in a directory")?;
        let parent = self.root.join(parent.strip_prefix("/")?);
        fs::create_dir_all(&parent)?;
        Ok(parent)
    }

    fn write_accounts(&self) -> Result<()> {
        self.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")?;
        self.write("etc/group", "root:x:0:\n")?;
        self.write("etc/shadow", "root:*:19000:0:99999:7:::\n")?;
        self.write("etc/gshadow", "root:*::\n")?;
        // Which numbers a service's user gets.
        self.copy(Path::new("/etc/login.defs"))
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        fs::write(self.path(path), text).with_context(|| path.to_owned())
    }

    fn name(&self, file: &str, number: &str) -> Result<String> {
        let text = self.read(file)?;
        let line = text.lines().find(|line| line.split(':').nth(2) == Some(number));
        Ok(line.and_then(|line| line.split(':').next()).unwrap_or(number).to_owned())
    }

    /// A command of the machine as root, or as whom maintainer scripts take for root.
    fn as_root(&self, program: &str) -> Command {
        let mut command = match &self.owners {
            None => Command::new(program),
            Some(owners) => {
                let mut command = Command::new("unshare");
                command.args(["--user", "--map-root-user", "fakeroot", "-s"]).arg(owners);
                command.arg("-i").arg(owners).arg("--").arg(program);
                command
            }
        };
        command.env_clear().env("PATH", PATH).env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive");
        command
    }
}

/// The records of dpkg about all that a package depends on: those of this machine.
fn dependencies(package: &Package) -> Result<String> {
    let field = package.field("Depends")?;
    let names = field.split(',').filter_map(|dependency| dependency.split_whitespace().next());
    names.map(record).collect()
}

/// What dpkg knows of a package of this machine.
fn record(name: &str) -> Result<String> {
    let record = output(Command::new("dpkg-query").args(["--status", name]))?;
    ensure!(record.contains("\nStatus: install ok installed\n"), "{name} is not installed: {record}");
    Ok(record + "\n")
}

fn locate(program: &str) -> Result<PathBuf> {
    PATH.split(':')
        .map(|dir| Path::new(dir).join(program))
        .find(|path| path.is_file())
        .with_context(|| format!("{program} is not on this machine"))
}

/// Where the modules are that Debian's scripts may use.
fn perl_modules() -> Result<Vec<PathBuf>> {
    let script = "print map { \"$_\\n\" } grep { m(/perl-base$) } @INC";
    let listed = output(Command::new("/usr/bin/perl").args(["-e", script]))?;
    Ok(listed.lines().map(PathBuf::from).collect())
}
