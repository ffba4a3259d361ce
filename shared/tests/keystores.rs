//! Keys of users' passwords out of keystores that the real `keytool` makes.

#![allow(clippy::unwrap_used, reason = "a test that can't go on panics where it stands")]
#![allow(clippy::disallowed_methods, reason = "keytool is run to make what an operator has")]

use std::{path::Path, process::Command};

use dmf_shared::{
    crypto::{KeyFile, KeyRing, KeySpec},
    domain::ids::SourceId,
};
use secrecy::{ExposeSecret as _, SecretString};

const PASSWORD: &str = "geheim-7";

fn keytool(dir: &Path, arguments: &[&str]) {
    let output = Command::new("keytool")
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap_or_else(|error| panic!("keytool (see infra/install-packages): {error}"));
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

fn load(dir: &Path, file: &str, alias: &str, secret: &str) -> Result<KeyRing, String> {
    let file = KeyFile::parse(&format!("keystore:{}", dir.join(file).display())).unwrap();
    let spec = KeySpec { alias: alias.to_owned(), file, secret: Some(SecretString::from(secret)) };
    KeyRing::load(&[spec]).map_err(|errors| format!("{errors:?}"))
}

/// One key in all formats: what is sealed with it from one opens with it from each other.
#[test]
fn one_key_is_the_same_out_of_each_format() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let password = ["-storepass", PASSWORD, "-keypass", PASSWORD];
    let make = ["-genseckey", "-alias", "Key1", "-keyalg", "AES", "-keysize", "256", "-storetype", "JCEKS"];
    keytool(dir, &[&make[..], &password, &["-keystore", "jceks"]].concat());
    // Other entries stand in the way of the one that is looked for.
    let pair = ["-genkeypair", "-alias", "a-pair", "-dname", "CN=x", "-keyalg", "EC", "-storetype", "JCEKS"];
    keytool(dir, &[&pair[..], &password, &["-keystore", "jceks"]].concat());
    let cert =
        ["-exportcert", "-alias", "a-pair", "-keystore", "jceks", "-storepass", PASSWORD, "-file", "cert"];
    keytool(dir, &[&cert[..], &["-storetype", "JCEKS"]].concat());
    let trust = ["-importcert", "-noprompt", "-alias", "a-cert", "-file", "cert", "-keystore", "jceks"];
    keytool(dir, &[&trust[..], &["-storepass", PASSWORD, "-storetype", "JCEKS"]].concat());
    let short = ["-genseckey", "-alias", "short", "-keyalg", "AES", "-keysize", "128", "-storetype", "JCEKS"];
    keytool(dir, &[&short[..], &password, &["-keystore", "jceks"]].concat());
    for (file, further) in [("pkcs12", &[][..]), ("legacy", &["-J-Dkeystore.pkcs12.legacy"][..])] {
        let from = ["-importkeystore", "-noprompt", "-srckeystore", "jceks", "-srcstoretype", "JCEKS"];
        let passwords = ["-srcstorepass", PASSWORD, "-deststorepass", PASSWORD];
        let to = ["-deststoretype", "PKCS12", "-destkeystore", file];
        keytool(dir, &[&from[..], &passwords, &to, further].concat());
    }
    let sealed = load(dir, "jceks", "KEY1", PASSWORD)
        .unwrap()
        .seal(&SecretString::from("of the user"), SourceId(1), "u")
        .unwrap();
    for file in ["jceks", "pkcs12", "legacy"] {
        let ring = load(dir, file, "KEY1", PASSWORD).unwrap();
        assert_eq!(ring.open(&sealed, SourceId(1), "u").unwrap().expose_secret(), "of the user", "{file}");
        assert!(load(dir, file, "KEY1", "wrong").unwrap_err().contains("Closed"), "{file}");
        let error = load(dir, file, "none", PASSWORD).unwrap_err();
        assert!(error.contains("NoSuchAlias") && error.contains("\"key1\", \"short\""), "{file}: {error}");
        assert!(load(dir, file, "short", PASSWORD).unwrap_err().contains("WrongKey"), "{file}");
    }
}
