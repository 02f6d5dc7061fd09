//! Deliveries over real TLS: a certificate of this test's own, a socket on loopback under a
//! public name.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use durable_streams_protocol::subscription::{KeySet, check_webhook};
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::RwLock;
use tokio::{net::TcpListener, sync::mpsc};

use super::{Deliverer, DeliveryError, client_builder};
use crate::subscriptions::{
    host::{Host, SystemHost},
    machine::Outcome,
    signing::KeyRing,
    ssrf::{Guard, WebhookMode},
};

const NAME: &str = "hooks.example.com";
const WAKE: &[u8] = br#"{"subscription_id":"s1","wake_id":"w","generation":1,"streams":[],"callback_url":"https://example.com/cb","callback_token":"t"}"#;
const TIMEOUT: Duration = Duration::from_secs(10);

type Arrived = (HeaderMap, Bytes);

/// A webhook receiver behind TLS whose certificate is for `name`.
struct Receiver {
    address: SocketAddr,
    certificate: reqwest::Certificate,
    arrived: mpsc::UnboundedReceiver<Arrived>,
}

impl Receiver {
    async fn start(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
        let dir = tempfile::tempdir().expect("a directory");
        let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).expect("written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
        let acceptor = crate::tls::acceptor(&certificate, &key).expect("an acceptor");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (tell, arrived) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                // A sender that refuses the certificate breaks the handshake off.
                let Ok(socket) = acceptor.accept(socket).await else { continue };
                let tell = tell.clone();
                let answer = service_fn(move |request: Request<Incoming>| {
                    let tell = tell.clone();
                    async move {
                        let headers = request.headers().clone();
                        let body = request.into_body().collect().await?.to_bytes();
                        let _ = tell.send((headers, body));
                        Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from_static(br#"{"done":true}"#))))
                    }
                });
                let connection = hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new());
                tokio::spawn(async move { drop(connection.serve_connection(TokioIo::new(socket), answer).await) });
            }
        });
        let certificate = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).expect("a certificate");
        Self { address, certificate, arrived }
    }

    /// Posts a wake to it under the public name; `trusts` its certificate or not.
    async fn post(&self, trusts: bool) -> (Result<Outcome, DeliveryError>, KeySet) {
        let guard = Guard::new(WebhookMode::Https, &[]);
        // Past the guard's resolver, which rightly refuses loopback.
        let mut builder = client_builder(&guard).resolve(NAME, self.address);
        if trusts {
            builder = builder.tls_certs_merge([self.certificate.clone()]);
        }
        let host = SystemHost::new();
        let ring = KeyRing::generate(host.now_ms()).expect("a key");
        let keys = KeySet::parse(ring.jwks(host.now_ms()).to_string().as_bytes()).expect("keys");
        let deliverer = Deliverer {
            client: Arc::new(OnceLock::from(builder.build().expect("a client"))),
            ..Deliverer::new(guard, Arc::new(RwLock::new(ring)), Arc::new(host))
        };
        let url = format!("https://{NAME}:{}/hook", self.address.port());
        (deliverer.post(&url, Bytes::from_static(WAKE), TIMEOUT).await, keys)
    }
}

#[tokio::test]
async fn a_wake_arrives_over_tls_signed() {
    let mut receiver = Receiver::start(NAME).await;
    let (outcome, keys) = receiver.post(true).await;
    assert_eq!(outcome.expect("delivered"), Outcome::Done);
    let (headers, body) = receiver.arrived.recv().await.expect("a delivery");
    assert_eq!(body, WAKE);
    let now = SystemHost::new().now_ms() / 1000;
    let verifies = |key: &[u8], message: &[u8], signature: &[u8]| {
        ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key).verify(message, signature).is_ok()
    };
    let wake = check_webhook(&headers, &body, &keys, "s1", now, verifies).expect("genuine");
    assert_eq!((wake.wake_id.as_str(), wake.generation), ("w", 1));
}

#[tokio::test]
async fn nothing_is_sent_to_a_certificate_nobody_vouches_for() {
    let mut receiver = Receiver::start(NAME).await;
    let error = receiver.post(false).await.0.expect_err("refused").to_string();
    assert!(error.contains("UnknownIssuer") || error.contains("certificate"), "{error}");
    assert!(receiver.arrived.try_recv().is_err(), "a request came through");
}

#[tokio::test]
async fn nothing_is_sent_to_a_certificate_of_another_name() {
    let mut receiver = Receiver::start("other.example.com").await;
    let error = receiver.post(true).await.0.expect_err("refused").to_string();
    assert!(error.contains("not valid for name") || error.contains("NotValidForName"), "{error}");
    assert!(receiver.arrived.try_recv().is_err(), "a request came through");
}
