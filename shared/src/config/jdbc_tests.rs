use secrecy::ExposeSecret;

use super::*;
use crate::config::{Environment, Sources};

#[test]
fn the_original_urls() {
    let url = DatabaseUrl::parse("jdbc:mysql://dmf-db:3307/migration?createDatabaseIfNotExist=true").unwrap();
    assert_eq!((url.host.as_str(), url.port, url.database.as_str()), ("dmf-db", 3307, "migration"));
    assert!(url.create_database_if_not_exist && url.user.is_none() && url.warnings.is_empty());
    assert_eq!(url.display(), "jdbc:mysql://dmf-db:3307/migration?createDatabaseIfNotExist=true");
    let url = DatabaseUrl::parse("jdbc:mariadb://[::1]/m").unwrap();
    assert_eq!((url.host.as_str(), url.port), ("::1", 3306));
    assert_eq!(url.display(), "jdbc:mariadb://[::1]:3306/m");
}

#[test]
fn credentials_are_read_and_never_shown() {
    for text in [
        "mysql://wor%40ker:p%3a%2fss@db/m",
        "jdbc:mysql://db/m?user=wor%40ker&password=p:/ss&trustStorePassword=p:/ss",
    ] {
        let url = DatabaseUrl::parse(text).unwrap();
        assert_eq!(url.user.as_deref(), Some("wor@ker"));
        assert_eq!(url.password.as_ref().map(ExposeSecret::expose_secret), Some("p:/ss"));
        assert!(!format!("{url:?} {url}").contains("p:/ss"));
    }
}

#[test]
fn encryption() {
    for (query, mode) in [
        ("", TlsMode::Preferred),
        ("useSSL=false", TlsMode::Disabled),
        ("useSSL=true", TlsMode::VerifyIdentity),
        ("useSsl=true&trustServerCertificate=true", TlsMode::Required),
        ("serverSslCert=file:/ca.pem", TlsMode::VerifyIdentity),
        ("sslMode=VERIFY_CA&serverSslCert=/ca.pem", TlsMode::VerifyCa),
        ("sslMode=trust", TlsMode::Required),
        ("sslMode=DISABLED&useSSL=true", TlsMode::Disabled),
    ] {
        assert_eq!(DatabaseUrl::parse(&format!("mysql://h/m?{query}")).unwrap().tls, mode, "{query}");
    }
    let url = DatabaseUrl::parse("mysql://h/m?serverSslCert=file:/ca.pem&localSocket=/run/db.sock").unwrap();
    assert_eq!(url.server_certificate, Some(PathBuf::from("/ca.pem")));
    assert_eq!(url.socket, Some(PathBuf::from("/run/db.sock")));
}

#[test]
fn timeouts_and_what_has_no_effect() {
    let url =
        DatabaseUrl::parse("mysql://h/m?connectTimeout=2500&socketTimeout=0&serverTimezone=UTC").unwrap();
    assert_eq!(url.connect_timeout, Some(Duration::from_millis(2500)));
    assert_eq!(url.warnings, ["the URL's parameter serverTimezone has no effect"]);
    let url = DatabaseUrl::parse("mysql://h/m?socketTimeout=5000").unwrap();
    assert_eq!(url.warnings, ["the URL's parameter socketTimeout has no effect: each call has a limit"]);
}

#[test]
fn faults_are_named_without_credentials() {
    for (text, error) in [
        ("postgres://u:hunter2@h/m", UrlError::Scheme),
        ("jdbc:mysql://u:hunter2@/m", UrlError::Host),
        ("jdbc:mysql://h1,h2/m", UrlError::Host),
        ("jdbc:mysql://h:0/m", UrlError::Port),
        ("jdbc:mysql://h:99999/m", UrlError::Port),
        ("jdbc:mysql://h", UrlError::Database),
        ("jdbc:mysql://h/a`b", UrlError::Database),
        ("mysql://u:hunter2%zz@h/m", UrlError::Escape),
        ("mysql://u:hunter2%@h/m", UrlError::Escape),
        ("mysql://h/m?useSSL=maybe", UrlError::Parameter { name: "useSsl", expected: "true or false" }),
    ] {
        let found = DatabaseUrl::parse(text).unwrap_err();
        assert_eq!(found, error, "{text}");
        assert!(!found.to_string().contains("hunter2"));
    }
}

#[test]
fn a_data_source_is_read_with_its_pool() {
    let yaml = "
datasources:
  default:
    url: jdbc:mysql://u:p@h/m?serverTimezone=UTC
    username: other
    dialect: MYSQL
    driverClassName: org.mariadb.jdbc.Driver
    maximumPoolSize: 4
    connection-timeout: 5000
";
    let environment = Environment::from_variables([("DATASOURCES_DEFAULT_PASSWORD", "secret")]);
    let properties = Sources::default().load_text(yaml, environment).unwrap();
    let mut reader = Reader::new(&properties);
    let source = DataSource::read(&mut reader, "datasources.default").unwrap();
    assert_eq!(source.url.user.as_deref(), Some("other"));
    assert_eq!(source.url.password.unwrap().expose_secret(), "secret");
    assert_eq!((source.pool.maximum_pool_size, source.pool.minimum_idle), (4, 4));
    assert_eq!(source.pool.connection_timeout, Duration::from_secs(5));
    let warnings = reader.finish().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn a_wrong_url_is_not_repeated() {
    let yaml = "datasources.default: {url: 'jdbc:oracle://u:hunter2@h/m', username: u}";
    let properties = Sources::default().load_text(yaml, Environment::default()).unwrap();
    let mut reader = Reader::new(&properties);
    assert!(DataSource::read(&mut reader, "datasources.default").is_none());
    let errors = reader.finish().unwrap_err().to_string();
    assert!(errors.contains("datasources.default.url") && !errors.contains("hunter2"), "{errors}");
}
