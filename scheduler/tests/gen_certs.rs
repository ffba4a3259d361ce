//! `gen-certs`, seen by the programs of those who use its files.

#![allow(clippy::unwrap_used, reason = "a test that can't go on panics where it stands")]
#![allow(clippy::disallowed_methods, reason = "the program, keytool and openssl are run as an operator does")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use dmf_scheduler::settings::Settings;
use dmf_shared::config::{Environment, ProgramSettings as _};

fn gen_certs(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dmf-scheduler"));
    command.arg("gen-certs").arg("-d").arg(dir).args(arguments).output().unwrap()
}

/// What a program prints that must succeed.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} (see infra/install-packages): {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn list(store: &Path, password: &str) -> String {
    let store = store.to_str().unwrap();
    run("keytool", &["-list", "-v", "-storetype", "PKCS12", "-keystore", store, "-storepass", password])
}

/// The password of the keystores, and the digits of the certificate's SHA-256.
fn expect_readable(dir: &Path, password: &str) -> String {
    let keystore = list(&dir.join("keystore.p12"), password);
    assert!(keystore.contains("Alias name: scheduler"), "{keystore}");
    assert!(keystore.contains("Entry type: PrivateKeyEntry"), "{keystore}");
    let truststore = list(&dir.join("scheduler.p12"), password);
    assert!(truststore.contains("Entry type: trustedCertEntry"), "{truststore}");
    assert!(!truststore.contains("PrivateKeyEntry"), "{truststore}");
    let pem = dir.join("scheduler.pem");
    let text = run("openssl", &["x509", "-in", pem.to_str().unwrap(), "-noout", "-fingerprint", "-sha256"]);
    let fingerprint = text.trim().split_once('=').unwrap().1.to_owned();
    for of_keytool in [keystore, truststore] {
        assert!(of_keytool.contains(&fingerprint), "{fingerprint} is not in {of_keytool}");
    }
    fingerprint
}

#[test]
fn keytool_and_openssl_read_all_files_and_the_scheduler_takes_them() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("certs");
    let output = gen_certs(&dir, &["--host", "dmf.example", "--host", "192.0.2.7"]);
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let password = fs::read_to_string(dir.join("keystore.password")).unwrap();
    assert!(!printed.contains(&password));
    for (name, mode) in [
        ("keystore.p12", 0o600),
        ("keystore.password", 0o600),
        ("scheduler.p12", 0o644),
        ("scheduler.pem", 0o644),
    ] {
        let path = dir.join(name);
        assert!(printed.contains(path.to_str().unwrap()), "{printed}");
        let allowed = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(allowed & !mode, 0, "{name}: {allowed:o}");
    }
    expect_readable(&dir, &password);
    let pem = dir.join("scheduler.pem");
    let names = run("openssl", &["x509", "-in", pem.to_str().unwrap(), "-noout", "-ext", "subjectAltName"]);
    for name in ["DNS:dmf.example", "IP Address:192.0.2.7", "DNS:localhost", "IP Address:127.0.0.1"] {
        assert!(names.contains(name), "{names}");
    }
    // As the manual has it, with the password where containers put it.
    let file = parent.path().join("dmf-scheduler.yml");
    let yaml = format!(
        "micronaut.ssl: {{enabled: true, key-store: {{type: PKCS12, path: 'file:{}'}}}}\n\
         datasources.default: {{url: jdbc:mysql://db/migration, username: x, password: x}}\n",
        dir.join("keystore.p12").display()
    );
    fs::write(&file, yaml).unwrap();
    let variable = ("MICRONAUT_SSL_KEY_STORE_PASSWORD_FILE", dir.join("keystore.password"));
    let environment = Environment::from_variables([(variable.0, variable.1.to_str().unwrap())]);
    let (settings, _) = Settings::load(&[file], environment).unwrap();
    assert!(settings.listen.certificates.is_some());
}

#[test]
fn nothing_is_overwritten_without_being_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("given");
    fs::write(&file, "given by hand\n").unwrap();
    let with_file = ["--password-file", file.to_str().unwrap()];
    assert!(gen_certs(dir.path(), &with_file).status.success());
    assert!(!dir.path().join("keystore.password").exists());
    let first = expect_readable(dir.path(), "given by hand");

    let again = gen_certs(dir.path(), &with_file);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("keystore.p12: is there already"));
    assert_eq!(expect_readable(dir.path(), "given by hand"), first);
    assert!(gen_certs(dir.path(), &[&with_file[..], &["--force"]].concat()).status.success());
    assert_ne!(expect_readable(dir.path(), "given by hand"), first);

    fs::write(&file, "short\n").unwrap();
    let short = gen_certs(dir.path(), &[&with_file[..], &["--force"]].concat());
    assert!(String::from_utf8_lossy(&short.stderr).contains("at least 6 characters"));
}

/// Root makes the files, and the scheduler runs as somebody else.
#[test]
fn a_directory_that_hands_its_group_down_shares_the_secrets_with_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o2750)).unwrap();
    assert!(gen_certs(dir.path(), &[]).status.success());
    for name in ["keystore.p12", "keystore.password"] {
        let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o640, "{name}: {mode:o}");
    }
}
