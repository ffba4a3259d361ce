//! Redis where its URL says: behind Sentinels that move it, and with TLS.

#![allow(clippy::unwrap_used, reason = "a test that can't go on panics where it stands")]
#![allow(clippy::disallowed_methods, reason = "a test has no lifecycle whose tracker could take its tasks")]

mod support;

use std::{fs, time::Duration};

use dmf_lab::{Lab, Port, Sentinel, poll_until};
use dmf_shared::{
    config::{Environment, Reader, Sources},
    domain::ids::{BackendId, Epoch, JobId, JournalId, SourceId},
    queue::{Control, Error, Options, Queue},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use support::PATIENCE;
use tokio_util::sync::CancellationToken;

fn options(url: &str) -> Options {
    Options { deadline: Duration::from_secs(2), ..Options::at(url) }
}

async fn built(queue: &Queue) -> Result<(), String> {
    let is_built = queue.is_built().await.map_err(|error| format!("{error:?}"))?;
    if is_built { Ok(()) } else { Err("not built".to_owned()) }
}

#[tokio::test]
async fn the_queue_goes_where_sentinels_say_and_takes_its_listeners_along() {
    let lab = Lab::builder().redis().start().await.unwrap();
    let replica = lab.redis().start_replica(lab.redis().addr()).await.unwrap();
    let sentinel = lab.redis().start_sentinel().await.unwrap();
    // The first of them is away.
    let nobody = Port::reserve().unwrap();
    let url = format!(
        "redis-sentinel://127.0.0.1:{},127.0.0.1:{}#{}",
        nobody.number(),
        sentinel.port(),
        Sentinel::MASTER
    );
    let queue = Queue::connect_lazily(&options(&url)).unwrap();
    assert!(matches!(queue.is_built().await, Err(Error::MasterUnknown)));
    let stop = CancellationToken::new();
    let following = tokio::spawn(queue.clone().follow_master(stop.clone()));
    poll_until("the master was not found", PATIENCE, async || {
        queue.is_built().await.map_err(|error| format!("{error:?}"))
    })
    .await
    .unwrap();
    queue.begin_rebuild().await.unwrap().unwrap().finish().await.unwrap();
    let (sender, mut controls) = tokio::sync::mpsc::channel(8);
    let backend = BackendId(7);
    let job = JobId { source: SourceId(1), journal: JournalId(2) };
    let order = Control::Cancel(job, Epoch(3));
    queue.subscribe_control(backend, sender).await.unwrap();
    let first = queue.server().await.unwrap().run_id;
    // Sentinels promote only a replica that they know, and that has caught up.
    poll_until("the sentinel knows no replica", PATIENCE, async || {
        let mut line = redis::Client::open(format!("redis://127.0.0.1:{}/", sentinel.port()))
            .unwrap()
            .get_multiplexed_async_connection()
            .await
            .map_err(|error| error.to_string())?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("REPLICAS").arg(Sentinel::MASTER);
        let known: Vec<redis::Value> = question.query_async(&mut line).await.map_err(|e| e.to_string())?;
        let text = format!("{known:?}");
        if known.len() == 1 && text.contains("master-link-status") && text.contains("\"ok\"") {
            Ok(())
        } else {
            Err(text)
        }
    })
    .await
    .unwrap();
    lab.redis().kill().await.unwrap();
    poll_until("the queue did not follow", PATIENCE, async || built(&queue).await).await.unwrap();
    assert_ne!(queue.server().await.unwrap().run_id, first);
    assert_eq!(queue.server().await.unwrap().run_id, run_id(&replica.url()).await);
    poll_until("nobody heard the control message", PATIENCE, async || {
        queue.send_control(&[(backend, order)]).await.map_err(|error| format!("{error:?}"))?;
        let mut heard = Vec::new();
        while let Ok(Some(control)) = tokio::time::timeout(Duration::from_millis(200), controls.recv()).await
        {
            heard.push(control);
        }
        if heard.contains(&order) { Ok(()) } else { Err(format!("{heard:?}")) }
    })
    .await
    .unwrap();
    stop.cancel();
    following.await.unwrap();
}

async fn run_id(url: &str) -> String {
    Queue::connect_lazily(&options(url)).unwrap().server().await.unwrap().run_id
}

/// The settings that a file of these lines makes.
fn read(lines: &str) -> Result<Options, String> {
    let properties = Sources::default().load_text(lines, Environment::from_variables([("", ""); 0])).unwrap();
    let mut reader = Reader::new(&properties);
    let options = Options::read(&mut reader);
    reader.finish().map(|_| options).map_err(|errors| errors.to_string())
}

#[tokio::test]
async fn tls_takes_certificates_of_ones_own_and_refuses_others() {
    let lab = Lab::builder().redis().start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: String| {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // With the name of what it signs, that would look as if it had signed itself.
    authority.distinguished_name.push(DnType::CommonName, "authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let ca = file("ca.pem", authority.pem());
    let issue = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = certificate.signed_by(&key, &authority).unwrap();
        (file(&format!("{name}.pem"), certificate.pem()), file(&format!("{name}.key"), key.serialize_pem()))
    };
    let (server, own) = (issue("server"), issue("own"));
    let port = Port::reserve().unwrap();
    let client = redis::Client::open(lab.redis().url()).unwrap();
    let mut plain = client.get_multiplexed_async_connection().await.unwrap();
    let mut set = redis::cmd("CONFIG");
    set.arg("SET").arg("tls-cert-file").arg(&server.0).arg("tls-key-file").arg(&server.1);
    set.arg("tls-ca-cert-file").arg(&ca).arg("tls-port").arg(port.number());
    set.exec_async(&mut plain).await.unwrap();
    let url = format!("rediss://127.0.0.1:{}", port.number());
    let with = |tls: &str| read(&format!("redis: {{ url: '{url}', timeout: 2s, tls: {{ {tls} }} }}"));
    let (certificate, key) = &own;
    let all = format!("ca: '{ca}', certificate: '{certificate}', key: '{key}'");
    let queue = Queue::connect_lazily(&with(&all).unwrap()).unwrap();
    assert_eq!(queue.server().await.unwrap().run_id, run_id(&lab.redis().url()).await);
    // Redis asks for a certificate, and the machine's own authorities know nothing of this one.
    for fewer in [format!("ca: '{ca}'"), format!("certificate: '{certificate}', key: '{key}'")] {
        let queue = Queue::connect_lazily(&with(&fewer).unwrap()).unwrap();
        assert!(queue.server().await.is_err(), "{fewer}");
    }
    let rubbish = file("rubbish", "no certificate".to_owned());
    for (tls, key) in [
        (format!("ca: '{ca}', certificate: '{certificate}'"), "redis.tls"),
        ("ca: '/nowhere/ca.pem'".to_owned(), "redis.tls.ca"),
        (format!("certificate: '{rubbish}', key: '{rubbish}'"), "redis.tls"),
    ] {
        let fault = with(&tls).unwrap_err();
        assert!(fault.contains(key), "{tls}: {fault}");
    }
}
