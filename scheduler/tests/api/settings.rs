//! The original's own settings file: it is read as it stands.

use dmf_scheduler::{
    api::{pages::Page, versioning::Version},
    settings::Settings,
};
use dmf_shared::config::{Environment, ProgramSettings as _, Sources};

/// Its keys and values in its nesting, as documents of one file.
const ORIGINAL: &str = "
jackson:
  serializationInclusion: ALWAYS
---
http:
  admin:
    username:
    password:
  headers:
    xapikey: X-API-KEY
---
micronaut:
  server:
    multipart:
      disk: true
      enabled: true
    ssl:
      enabled: true
      key-store:
        path: file:/opt/open-xchange/dmf/certs/keystore.p12
        type: PKCS12
        password:
      port: 8443
  router:
    versioning:
      enabled: true
      default-version: v1
      parameter:
        enabled: false
        names: 'v,api-version'
      header:
        enabled: true
        names:
          - 'X-API-VERSION'
          - 'Accept-Version'
  static-resources:
    swagger:
      paths: classpath:META-INF/swagger
      mapping: /swagger/**
    redoc:
      paths: classpath:META-INF/swagger/views/redoc
      mapping: /redoc/**
    rapidoc:
      paths: classpath:META-INF/swagger/views/rapidoc
      mapping: /rapidoc/**
    swagger-ui:
      paths: classpath:META-INF/swagger/views/swagger-ui
      mapping: /swagger-ui/**
  security:
    enabled: true
    intercept-url-map:
      - pattern: /swagger/**
        access:
          - isAnonymous()
      - pattern: /swagger-ui/**
        access:
          - isAnonymous()
  application:
    name: api
  metrics:
    enabled: true
    export:
      prometheus:
        enabled: true
        step: PT1M
        descriptions: true
---
datasources:
  default:
    url: jdbc:mysql://localhost:3306/migration?createDatabaseIfNotExist=true
    username:
    password:
    dialect: MYSQL
    driverClassName: org.mariadb.jdbc.Driver
---
liquibase:
  datasources:
    default:
      change-log: 'classpath:liquibase/scheduler/liquibase-changelog.xml'
---
endpoints:
  all:
    enabled: true
    sensitive: true
  liquibase:
    enabled: false
";

#[test]
fn the_original_file_is_read_without_a_warning() {
    // What it leaves empty comes from the environment; there is no keystore here.
    let environment = Environment::from_variables([
        ("HTTP_ADMIN_USERNAME", "admin"),
        ("HTTP_ADMIN_PASSWORD", "password"),
        ("DATASOURCES_DEFAULT_USERNAME", "dmf"),
        ("DATASOURCES_DEFAULT_PASSWORD", "secret"),
        ("MICRONAUT_SERVER_SSL_ENABLED", "false"),
    ]);
    let properties = Sources::default().load_text(ORIGINAL, environment).unwrap();
    let (settings, warnings) = Settings::read(&properties).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(settings.api_key_header, "x-api-key");
    assert_eq!(settings.versioning.default, Version::One);
    assert_eq!(settings.pages, Page::ALL.into());
    assert_eq!(settings.listen.address.port(), 8080);
    assert_eq!(settings.database.url.database, "migration");
}
