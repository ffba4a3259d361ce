use super::*;

const SOURCE: SourceId = SourceId(3);

fn spec(alias: &str, file: KeyFile, secret: Option<&str>) -> KeySpec {
    KeySpec { alias: alias.to_owned(), file, secret: secret.map(SecretString::from) }
}

/// A ring over plain key files, one for each alias with its first byte repeated as the key.
fn ring(keys: &[(&str, u8)]) -> KeyRing {
    let dir = tempfile::tempdir().unwrap();
    let specs: Vec<KeySpec> = keys
        .iter()
        .map(|(alias, byte)| {
            let path = dir.path().join(alias);
            std::fs::write(&path, [*byte; 32]).unwrap();
            spec(alias, KeyFile::Plain(path), None)
        })
        .collect();
    KeyRing::load(&specs).unwrap()
}

fn password(text: &str) -> SecretString {
    SecretString::from(text)
}

#[test]
fn what_is_sealed_opens_for_the_same_user_only() {
    let ring = ring(&[("k1", 1)]);
    for text in ["", "hunter2", "pässwörd\n\0"] {
        let sealed = ring.seal(&password(text), SOURCE, "u@x").unwrap();
        assert_eq!(sealed.alias, "k1");
        assert_eq!(sealed.bytes.len(), NONCE_BYTES + text.len() + 16);
        assert_eq!(ring.open(&sealed, SOURCE, "u@x").unwrap().expose_secret(), text);
        for (source, uid) in [(SOURCE, "U@x"), (SourceId(4), "u@x"), (SOURCE, "")] {
            assert!(matches!(ring.open(&sealed, source, uid), Err(Error::DoesNotOpen)));
        }
    }
}

#[test]
fn every_write_has_its_own_nonce() {
    let ring = ring(&[("k1", 1)]);
    let seal = || ring.seal(&password("same"), SOURCE, "u").unwrap().bytes;
    assert_ne!(seal(), seal());
}

#[test]
fn damage_is_noticed() {
    let ring = ring(&[("k1", 1)]);
    let sealed = ring.seal(&password("hunter2"), SOURCE, "u").unwrap();
    for index in 0..sealed.bytes.len() {
        let mut damaged = sealed.clone();
        damaged.bytes[index] ^= 1;
        assert!(ring.open(&damaged, SOURCE, "u").is_err(), "byte {index}");
    }
    for length in 0..sealed.bytes.len() {
        let mut cut = sealed.clone();
        cut.bytes.truncate(length);
        assert!(ring.open(&cut, SOURCE, "u").is_err(), "length {length}");
    }
}

#[test]
fn keys_rotate() {
    let old = ring(&[("k1", 1)]);
    let new = ring(&[("k2", 2), ("k1", 1)]);
    assert_eq!((old.active(), new.active()), (Some("k1"), Some("k2")));
    let sealed = old.seal(&password("p"), SOURCE, "u").unwrap();
    assert_eq!(new.open(&sealed, SOURCE, "u").unwrap().expose_secret(), "p");
    let sealed = new.seal(&password("p"), SOURCE, "u").unwrap();
    assert!(matches!(old.open(&sealed, SOURCE, "u"), Err(Error::UnknownAlias(alias)) if alias == "k2"));
    let impostor = ring(&[("k2", 9)]);
    assert!(matches!(impostor.open(&sealed, SOURCE, "u"), Err(Error::DoesNotOpen)));
    assert!(matches!(KeyRing::default().seal(&password("p"), SOURCE, "u"), Err(Error::NoActiveKey)));
}

#[test]
fn every_faulty_key_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let specs = [
        spec("good", KeyFile::Plain(write("good", &[7; 32])), None),
        spec("good", KeyFile::Plain(write("again", &[7; 32])), None),
        spec("short", KeyFile::Plain(write("short", &[7; 16])), None),
        spec("gone", KeyFile::Plain(dir.path().join("gone")), None),
        spec("closed", KeyFile::Keystore(write("closed", &[7; 32])), None),
        spec("jks", KeyFile::Keystore(write("jks", &[0xfe, 0xed, 0xfe, 0xed, 0])), Some("x")),
        spec("jceks", KeyFile::Keystore(write("jceks", &[0xce; 99])), Some("x")),
        spec("noise", KeyFile::Keystore(write("noise", &[0x30; 99])), Some("x")),
    ];
    let errors = KeyRing::load(&specs).unwrap_err();
    assert!(matches!(
        errors.as_slice(),
        [
            Error::DuplicateAlias(_),
            Error::NotAKey { .. },
            Error::Unreadable { .. },
            Error::SecretMissing { .. },
            Error::Keystore { reason: Reason::Jks, .. },
            Error::Keystore { reason: Reason::Closed, .. },
            Error::Keystore { reason: Reason::Closed, .. },
        ]
    ));
}

#[test]
fn keystores_of_keytool_open() {
    // Made with: keytool -genseckey -alias Key1 -keyalg AES -keysize 256 -storetype pkcs12
    let store = include_bytes!("testdata/keystore.p12");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keystore.p12");
    std::fs::write(&path, store).unwrap();
    let load = |alias, secret| KeyRing::load(&[spec(alias, KeyFile::Keystore(path.clone()), Some(secret))]);
    let ring = load("Key1", "changeit").unwrap();
    let sealed = ring.seal(&password("p"), SOURCE, "u").unwrap();
    assert_eq!(sealed.alias, "Key1", "the configured spelling is kept");
    assert_eq!(load("Key1", "changeit").unwrap().open(&sealed, SOURCE, "u").unwrap().expose_secret(), "p");
    let reason = |alias, secret| match load(alias, secret).unwrap_err().remove(0) {
        Error::Keystore { reason, .. } => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason("key1", "wrong-secret"), Reason::Closed);
    assert_eq!(reason("short", "changeit"), Reason::WrongKey("short".into()));
    let Reason::NoSuchAlias { present, .. } = reason("other", "changeit") else { panic!("found") };
    assert_eq!(present, ["key1", "short"]);
}
