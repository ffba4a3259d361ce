use super::*;
use crate::config::{Environment, Sources};

fn read(yaml: &str) -> Result<AccessRules, String> {
    let no_variables: [(&str, &str); 0] = [];
    let properties = Sources::default().load_text(yaml, Environment::from_variables(no_variables)).unwrap();
    let mut reader = Reader::new(&properties);
    let access = AccessRules::read(&mut reader);
    reader.finish().map(|_| access).map_err(|errors| errors.to_string())
}

fn judge(yaml: &str, method: &Method, path: &str) -> Judgement {
    read(yaml).unwrap().judge(Some([127, 0, 0, 1].into()), method, &[path])
}

#[test]
fn endpoints_are_sensitive_by_default_and_by_setting() {
    use Judgement::{AdminOnly, Hide, Pass};
    let appendix = "endpoints.all: {enabled: true, sensitive: true}\n";
    for (yaml, path, expected) in [
        ("", "/health", Pass),
        ("", "/health/readiness", Pass),
        ("", "/metrics", AdminOnly),
        ("", "/loggers/dmf", AdminOnly),
        ("", "/dmf/api/v2/users", Pass),
        ("", "/nothing", Pass),
        (appendix, "/health", AdminOnly),
        (&format!("{appendix}endpoints.health.sensitive: false"), "/health", Pass),
        ("endpoints.metrics.sensitive: false", "/metrics/x", Pass),
        ("endpoints.metrics.enabled: false", "/metrics/x", Hide),
        ("endpoints.all.enabled: false\nendpoints.info.enabled: true", "/info", AdminOnly),
        ("endpoints.all.enabled: false", "/health", Hide),
        ("micronaut.security.enabled: false", "/metrics", Pass),
    ] {
        assert_eq!(judge(yaml, &Method::GET, path), expected, "{yaml} {path}");
    }
}

#[test]
fn the_first_rule_counts_and_those_with_a_method_come_first() {
    use Judgement::{AdminOnly, Pass, Refuse};
    let yaml = "micronaut.security.intercept-url-map:
  - {pattern: /swagger/**, access: [isAuthenticated()]}
  - {pattern: /loggers/open, access: isAnonymous()}
  - {pattern: /loggers/**, access: [denyAll()]}
  - {pattern: /loggers/open, http-method: post, access: denyAll()}
  - {pattern: /dmf/api/**, access: [isAuthenticated()]}
  - {pattern: /dmf/admin/**, access: [isAnonymous()]}
  - {pattern: /dmf/**/bulk, access: [denyAll()]}
";
    for (method, path, expected) in [
        (Method::GET, "/swagger/x.yml", AdminOnly),
        (Method::GET, "/swagger-ui", Pass),
        (Method::GET, "/loggers/open", Pass),
        (Method::POST, "/loggers/open", Refuse),
        (Method::GET, "/loggers/dmf", Refuse),
        (Method::GET, "/logger%73/d%6df", Refuse),
        (Method::GET, "/loggers/%2e%zz%4", Refuse),
        (Method::GET, "/metrics", AdminOnly),
        (Method::GET, "/dmf/api/v2/users", Pass),
        (Method::GET, "/dmf/admin/api/v2/sources", Pass),
        (Method::POST, "/dmf/api/v2/users/migrations/bulk", Pass),
    ] {
        assert_eq!(judge(yaml, &method, path), expected, "{path}");
    }
    // A request of v1 has two spellings; a rule for either counts.
    let deny =
        read("micronaut.security.intercept-url-map: [{pattern: /dmf/api/users, access: denyAll()}]").unwrap();
    let paths = ["/dmf/api/users", "/dmf/api/v2/users"];
    assert_eq!(deny.judge(None, &Method::GET, &paths), Refuse);
    assert_eq!(deny.judge(None, &Method::GET, &paths[1..]), Pass);
}

#[test]
fn addresses_match_whole_or_not_at_all() {
    let allowed = |patterns: &str, address: &str| {
        let access = read(&format!("micronaut.security.ip-patterns: {patterns}")).unwrap();
        access.judge(Some(address.parse().unwrap()), &Method::GET, &["/health"]) == Judgement::Pass
    };
    assert!(allowed("[127.0.0.1, 192.168.1.*]", "192.168.1.77"));
    assert!(allowed("[127.0.0.1, 192.168.1.*]", "::ffff:127.0.0.1"));
    // They are regular expressions, as in the original: a dot is any character.
    assert!(allowed("[127.0.0.1, 192.168.1.*]", "192.168.10.7"));
    assert!(!allowed("['192\\.168\\.1\\..*']", "192.168.10.7"));
    assert!(!allowed("[127.0.0.1]", "127.0.0.10"));
    assert!(!allowed("['10.0.0.1|10.0.0.2']", "10.0.0.22"));
    assert!(allowed("['2001:db8:.*']", "2001:db8::1"));
    assert!(allowed("0.0.0.0", "203.0.113.9"));
    let access = read("micronaut.security.ip-patterns: [127.0.0.1]").unwrap();
    assert_eq!(access.judge(None, &Method::GET, &["/health"]), Judgement::Refuse);
}

#[test]
fn what_is_no_rule_is_refused_at_the_start() {
    for (yaml, expected) in [
        ("micronaut.security.ip-patterns: ['[']", "no regular expression"),
        ("micronaut.security.ip-patterns: []", "empty list"),
        ("micronaut.security.intercept-url-map: [{pattern: /a, access: [ROLE_ADMIN]}]", "there are no roles"),
        ("micronaut.security.intercept-url-map: [{pattern: /a}]", "access: required"),
        ("micronaut.security.intercept-url-map: [{access: denyAll()}]", "pattern: required"),
    ] {
        let error = read(yaml).unwrap_err();
        assert!(error.contains(expected), "{yaml}: {error}");
    }
}
