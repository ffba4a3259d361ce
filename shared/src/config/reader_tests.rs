use std::fmt::Write as _;

use secrecy::ExposeSecret as _;

use super::*;
use crate::config::{Environment, Sources};

/// The shape of the original's shipped file: all its kinds of keys, with other values.
const SHIPPED: &str = include_str!("testdata/shipped.yml");

fn properties(yaml: &str, variables: &[(&str, &str)]) -> Properties {
    let sources = Sources::default().verbatim(&["dmf.source.*", "dmf.source.*.inject.**"]);
    sources.load_text(yaml, Environment::from_variables(variables.iter().copied())).unwrap()
}

#[test]
fn the_shipped_file_loads_as_it_stands() {
    let properties = properties(SHIPPED, &[("HTTP_ADMIN_USERNAME", "root")]);
    let mut reader = Reader::new(&properties);
    assert_eq!(reader.string("http.admin.username").as_deref(), Some("root"));
    assert!(reader.secret("http.admin.password").is_none());
    assert_eq!(reader.string_or("http.headers.xapikey", ""), "X-API-KEY");
    assert!(reader.bool("micronaut.server.ssl.enabled", false));
    assert_eq!(reader.port("micronaut.server.ssl.port", 0), 8443);
    assert_eq!(
        reader.path("micronaut.server.ssl.key-store.path"),
        Some(PathBuf::from("/etc/dmf/certs/keystore.p12"))
    );
    let names = "micronaut.server.router.versioning.header.names";
    assert_eq!(reader.list(names).unwrap(), ["X-API-VERSION", "Accept-Version"]);
    let names = "micronaut.server.router.versioning.parameter.names";
    assert_eq!(reader.list(names).unwrap(), ["v", "api-version"]);
    assert_eq!(reader.names("micronaut.server.router.static-resources").len(), 4);
    assert_eq!(
        reader.resource("micronaut.server.router.static-resources.redoc.paths"),
        Some(Resource::Classpath("META-INF/swagger/views/redoc".to_owned()))
    );
    let rules = "micronaut.security.intercept-url-map";
    assert_eq!(reader.len(rules), 4);
    assert_eq!(reader.string(&format!("{rules}[3].pattern")).as_deref(), Some("/redoc/**"));
    assert_eq!(reader.list(&format!("{rules}[3].access")).unwrap(), ["isAnonymous()"]);
    let step = "micronaut.metrics.export.prometheus.step";
    let minute = Duration::from_mins(1);
    assert_eq!(reader.duration(step, Duration::ZERO, Duration::ZERO..=minute), minute);
    assert!(reader.finish().is_ok());
}

#[test]
fn text_of_scalars_survives() {
    let properties = properties("a: 0123\nb: 1e3\nc: '~'\nd: 0x1F\ne: yes\nf: !!str\ng: 1_000\nh: .5", &[]);
    for (key, text) in [
        ("a", "0123"),
        ("b", "1e3"),
        ("c", "~"),
        ("d", "0x1F"),
        ("e", "yes"),
        ("f", ""),
        ("g", "1_000"),
        ("h", ".5"),
    ] {
        assert_eq!(properties.get(key).map(|(text, _)| text), Some(text), "{key}");
    }
}

#[test]
fn later_documents_win_lists_go_whole_and_null_unsets() {
    let yaml = "
list: [a, b, c]
maps: [{x: 1, y: 2}, {x: 3}]
commas: [a, b]
keep: {one: 1, two: 2}
gone: {deep: {er: 1}}
---
list: [z]
maps: [{y: 9}]
commas: d, e
keep.two: zwei
gone:
---
---
emptied: []
";
    let mut properties = properties(yaml, &[]);
    assert_eq!(properties.list("list").unwrap(), ["z"]);
    assert_eq!(properties.list("commas").unwrap(), ["d", "e"]);
    assert_eq!(properties.list("emptied").unwrap(), Vec::<String>::new());
    assert_eq!(properties.list("missing"), None);
    assert_eq!(properties.value("maps").unwrap().to_string(), r#"[{"y":"9"}]"#);
    assert_eq!(properties.get("keep.one").unwrap().0, "1");
    assert_eq!(properties.get("keep.two").unwrap().0, "zwei");
    assert!(!properties.exists("gone"));
    properties.environment = Environment::from_variables([("LIST", "x,y"), ("MAPS_0_Y", "7")]);
    assert_eq!(properties.list("list").unwrap(), ["x", "y"]);
    assert_eq!(properties.value("maps").unwrap().to_string(), r#"[{"y":"7"}]"#);
}

#[test]
fn merge_keys_and_aliases_unfold() {
    let yaml = "base: &base {a: 1, b: 2}\nown: {<<: *base, b: 3}\nboth: {<<: [{c: 1}, *base]}\nname: *base";
    let properties = properties(yaml, &[]);
    assert_eq!(properties.value("own").unwrap().to_string(), r#"{"a":"1","b":"3"}"#);
    assert_eq!(properties.value("both").unwrap().to_string(), r#"{"a":"1","b":"2","c":"1"}"#);
    assert_eq!(properties.value("name").unwrap().to_string(), r#"{"a":"1","b":"2"}"#);
}

#[test]
fn hostile_yaml_is_an_error_with_its_line() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for n in 1..9 {
        let items = vec![format!("*a{}", n - 1); 10].join(",");
        writeln!(bomb, "a{n}: &a{n} [{items}]").unwrap();
    }
    for (yaml, message) in [
        (bomb.as_str(), "more than"),
        (&format!("a: {}", "[".repeat(200)), "nested deeper"),
        ("ok: 1\n- a list\n", ":2"),
        ("- a\n- b\n", "must be a mapping"),
        ("a: &a [*a]\n", "inside of what it names"),
        ("? [x]\n: 1\n", "a key must be plain text"),
        ("a: *nowhere\n", ":1"),
        ("ok: 1\nbad: 'open\n", ":"),
    ] {
        let error = Sources::default().load_text(yaml, Environment::default()).unwrap_err().to_string();
        assert!(error.starts_with("<text>:") && error.contains(message), "{error}");
    }
}

#[test]
fn environment_lies_over_files() {
    let properties =
        properties("redis.url: from-file\nother: x", &[("REDIS_URL", "from-environment"), ("OTHER", "")]);
    let (text, origin) = properties.get("redis.url").unwrap();
    assert_eq!((text, origin.to_string().as_str()), ("from-environment", "environment variable REDIS_URL"));
    assert_eq!(properties.get("other").unwrap().0, "x");
}

#[test]
fn names_that_operators_choose_keep_apart() {
    let yaml = "
dmf.source:
  Customer_X: {imapcHost: one, inject: {routeUrl: u, dotted.Key: d}}
  CustomerX: {imapc-host: two}
";
    let properties = properties(yaml, &[("DMF_SOURCE_CUSTOMERX_IMAPC_HOST", "three")]);
    let mut reader = Reader::new(&properties);
    assert_eq!(reader.names("dmf.source"), ["CustomerX", "Customer_X"]);
    assert_eq!(reader.string("dmf.source.Customer_X.imapc-host").as_deref(), Some("one"));
    assert_eq!(reader.string("dmf.source.CustomerX.imapc-host").as_deref(), Some("three"));
    let inject = reader.secret_map("dmf.source.Customer_X.inject");
    assert_eq!(inject.keys().collect::<Vec<_>>(), ["dotted.Key", "routeUrl"]);
}

#[test]
fn every_fault_is_reported_at_once() {
    let yaml = "a:\n  number: twelve\n  flag: maybe\n  wait: 15\n  mode: FAST\n  addr: here\n  big: 1TB\n";
    let properties = properties(yaml, &[("A_PORT", "70000")]);
    let mut reader = Reader::new(&properties);
    assert_eq!(reader.number("a.number", 7_u32, 1..=100), 7);
    assert!(reader.bool("a.flag", true));
    let minute = Duration::from_mins(1);
    assert_eq!(reader.duration("a.wait", minute, Duration::ZERO..=minute), minute);
    assert_eq!(reader.choice("a.mode", &[("slow", 1), ("fine", 2)], 2), 2);
    assert_eq!(reader.socket_addr("a.addr"), None);
    assert_eq!(reader.size("a.big", 5, 0..=10), 5);
    assert_eq!(reader.port("a.port", 1), 1);
    reader.required_string("a.name");
    reader.required_secret("a.password");
    reader.reject("a.flag", "not together with a.mode");
    let errors = reader.finish().unwrap_err().to_string();
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(
        lines,
        [
            r#"a.number = "twelve": allowed is a number from 1 to 100 (<text>:2)"#,
            r#"a.flag = "maybe": allowed is true, yes, y, on, false, no, n or off (<text>:3)"#,
            r#"a.wait = "15": allowed is a duration from 0s to 1m, written like 500ms, 15s, 24h or PT1M (<text>:4)"#,
            r#"a.mode = "FAST": allowed is slow, fine (<text>:5)"#,
            r#"a.addr = "here": allowed is an IP address with a port, as in 127.0.0.1:8080 (<text>:6)"#,
            r#"a.big = "1TB": allowed is a size from 0 to 10 bytes, written like 65536 or 64KB (<text>:7)"#,
            r#"a.port = "70000": allowed is a number from 0 to 65535 (environment variable A_PORT)"#,
            "a.name: required, but not set",
            "a.password: required, but not set",
            "a.flag: not together with a.mode (<text>:3)",
        ]
    );
}

#[test]
fn unknown_keys_are_warned_about_with_the_nearest() {
    let yaml = "
http.admin: {usrname: a, password: b}
jackson.serializationInclusion: ALWAYS
list: [1, 2]
entirely: {different: 1}
";
    let properties = properties(yaml, &[("HTTP_ADMIN_PASWORD", "b"), ("DMF_UNHEARD_OF", "1")]);
    let mut reader = Reader::new(&properties);
    reader.string("http.admin.username");
    reader.secret("http.admin.password");
    reader.list("list");
    reader.accept("jackson");
    reader.warn("list", "is short");
    let warnings: Vec<String> = reader.finish().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "list: is short",
            "entirely.different: unknown, has no effect (<text>:5)",
            "http.admin.usrname: unknown, has no effect; did you mean http.admin.username? (<text>:2)",
            "DMF_UNHEARD_OF: unknown, has no effect (environment variable DMF_UNHEARD_OF)",
            "HTTP_ADMIN_PASWORD: unknown, has no effect; did you mean HTTP_ADMIN_PASSWORD? \
             (environment variable HTTP_ADMIN_PASWORD)",
        ]
    );
}

#[test]
fn secrets_come_from_files_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    std::fs::write(&path, "pass word\n").unwrap();
    let path = path.to_str().unwrap();
    let yaml = "a.password: from-file\nkey.secret: s\nkey.secret.file: other\n";
    let variables =
        [("A_PASSWORD_FILE", path), ("KEY_SECRET_FILE", "/named/by/a/key"), ("B_PASSWORD_FILE", "/missing")];
    let properties = properties(yaml, &variables);
    let mut reader = Reader::new(&properties);
    assert_eq!(reader.secret("a.password").unwrap().expose_secret(), "pass word");
    assert_eq!(reader.secret("key.secret").unwrap().expose_secret(), "s");
    assert!(reader.secret("b.password").is_none());
    let errors = reader.finish().unwrap_err().to_string();
    assert!(errors.contains("B_PASSWORD_FILE") && errors.lines().count() == 1, "{errors}");
}

#[test]
fn unresolved_placeholders_name_key_and_line_but_no_secret() {
    let yaml = "db.url: '${DB_URL}'\nadmin.password: 'hunt${er}2'\n";
    let errors = Sources::default().load_text(yaml, Environment::default()).unwrap_err().to_string();
    let lines: Vec<&str> = errors.lines().collect();
    assert!(lines[0].starts_with("admin.password: ") && lines[0].ends_with("(<text>:2)"), "{errors}");
    assert!(!lines[0].contains("er}"), "{errors}");
    assert_eq!(lines[1], "db.url: ${DB_URL} has neither a value nor a default (<text>:1)");
}

#[test]
fn a_secret_named_twice_is_refused() {
    let properties = properties("", &[("A_PASSWORD", "hunter2"), ("A_PASSWORD_FILE", "/x")]);
    let mut reader = Reader::new(&properties);
    assert!(reader.secret("a.password").is_none());
    let errors = reader.finish().unwrap_err().to_string();
    assert!(errors.contains("both set") && !errors.contains("hunter2"), "{errors}");
}

#[test]
fn subtrees_become_types_and_errors_hide_values() {
    #[derive(serde::Deserialize, Debug, PartialEq)]
    #[serde(rename_all = "kebab-case")]
    struct Command {
        name: String,
        #[serde(default)]
        arguments: Vec<String>,
        then_run: Option<Box<Command>>,
    }
    let yaml = "
a: {name: doveadm, thenRun: {name: backup, arguments: [ '-R', 007 ]}}
b: {name: x, arguments: hunter2}
";
    let properties = properties(yaml, &[]);
    let mut reader = Reader::new(&properties);
    let command: Command = reader.deserialize("a").unwrap();
    assert_eq!(command.then_run.unwrap().arguments, ["-R", "007"]);
    assert_eq!(reader.deserialize::<Command>("missing"), None);
    assert_eq!(reader.deserialize::<Command>("b"), None);
    let errors = reader.finish().unwrap_err().to_string();
    assert!(errors.contains("invalid type: a string, expected a sequence"), "{errors}");
    assert!(!errors.contains("hunter2"), "{errors}");
}

#[test]
fn defaults_apply_where_nothing_is_set() {
    let sources = Sources::default().defaults(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]);
    let properties = sources.load_text("a: 9\nb:\nc: [x]\n", Environment::default()).unwrap();
    assert_eq!(properties.get("a").unwrap().0, "9");
    assert_eq!(properties.get("b").unwrap().0, "2");
    assert_eq!(properties.list("c").unwrap(), ["x"]);
    assert_eq!(properties.get("d").unwrap().0, "4");
    let debug = format!("{properties:?}");
    assert!(!debug.contains('9'), "values stay out of Debug: {debug}");
}

#[test]
fn files_are_chosen_and_merged_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (one, two, bad) = (write("1.yml", "a: 1\nb: 1"), write("2.yml", "b: 2"), write("bad.yml", "a: 'x"));
    let load = |sources: Sources, variables: &[(&str, &str)]| {
        sources.load(Environment::from_variables(variables.iter().copied()))
    };
    let text = |properties: &Properties, key: &str| properties.get(key).map(|(text, _)| text.to_owned());

    let merged = load(Sources::default().files(&[one.clone(), two.clone()]), &[]).unwrap();
    assert_eq!((text(&merged, "a"), text(&merged, "b")), (Some("1".into()), Some("2".into())));

    let named = [("MICRONAUT_CONFIG_FILES", two.to_str().unwrap())];
    let command_line_wins = load(Sources::default().files(std::slice::from_ref(&one)), &named).unwrap();
    assert_eq!(text(&command_line_wins, "b").as_deref(), Some("1"));

    let candidates = Sources::default().candidates([dir.path().join("none.yml"), two.clone(), one.clone()]);
    let first = load(candidates.clone(), &[]).unwrap();
    assert_eq!((text(&first, "a"), text(&first, "b").as_deref()), (None, Some("2")));

    let errors = load(Sources::default().files(&[dir.path().join("none.yml"), bad]), &[]).unwrap_err();
    assert_eq!(errors.0.len(), 2, "{errors}");
}

mod random {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let loaded = Sources::default().load_text(&text, Environment::default());
            if let Ok(properties) = loaded {
                for name in properties.names("a") {
                    properties.value(&name);
                }
            }
        }

        #[test]
        fn no_structure_panics(text in "[a\\-:,{}\\[\\]&*<>|'\"!#?%@`$ \n\t~]{0,60}") {
            let _ = Sources::default().load_text(&text, Environment::default());
        }

        #[test]
        fn quoted_passwords_come_back(password in "[^'\\p{C}$]{1,40}") {
            let yaml = format!("password: '{password}'");
            let properties = Sources::default().load_text(&yaml, Environment::default()).unwrap();
            prop_assert_eq!(properties.get("password").unwrap().0, password.as_str());
        }
    }
}
