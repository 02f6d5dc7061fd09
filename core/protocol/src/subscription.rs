//! Those who work off subscriptions: receivers of webhooks, who must not believe anybody
//! (protocol.md §23.8), and holders of a lease, who must notice that they lost it (§23.6).
//!
//! Pure: whoever calls brings the time, the check of a signature and the HTTP exchange.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    content_type,
    headers::{self, WEBHOOK_SIGNATURE},
    request::{InvalidArgument, Operation, RequestPlan, TimeoutClass},
};

/// How far the time of a signature may be from now, in either direction.
pub const REPLAY_WINDOW: Duration = Duration::from_secs(300);

/// The public keys of a server, by their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet(BTreeMap<String, Vec<u8>>);

/// What a wake asks for: a webhook's body, or what a claim was granted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Wake {
    /// The subscription; absent in the answer to a claim.
    #[serde(default)]
    pub subscription_id: String,
    /// Names this wake.
    pub wake_id: String,
    /// Grows with every wake of the subscription.
    pub generation: u64,
    /// What there is to do.
    #[serde(default)]
    pub streams: Vec<WakeStream>,
    /// Where a webhook's worker acknowledges.
    #[serde(default)]
    pub callback_url: Option<String>,
    /// Authorises this wake only.
    #[serde(alias = "callback_token")]
    pub token: String,
    /// How long the lease holds without a sign of life. Units: ms.
    #[serde(default)]
    pub lease_ttl_ms: Option<u64>,
}

/// One stream of a wake.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct WakeStream {
    /// Its path below the server's root of streams.
    pub path: String,
    /// The last offset that was acknowledged.
    pub acked_offset: String,
    /// Its tail when the wake began.
    pub tail_offset: String,
    /// Whether there is something between the two.
    #[serde(default)]
    pub has_pending: bool,
}

/// Why a webhook must not be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// There is no signature, or it is none.
    #[error("the request's signature is missing or malformed")]
    Malformed,
    /// No published key has this id. Fetch the key set again once: keys are rotated.
    #[error("no published key is called {0:?}")]
    UnknownKey(String),
    /// Signed too long ago, or in the future: perhaps a repetition by a stranger.
    #[error("signed at {signed}, which is more than {} s from {now}", REPLAY_WINDOW.as_secs())]
    OutsideWindow {
        /// When it says it was signed. Units: seconds since 1970.
        signed: u64,
        /// The receiver's time. Units: seconds since 1970.
        now: u64,
    },
    /// Somebody else signed, or the body was changed.
    #[error("the signature does not fit the body")]
    BadSignature,
    /// The body is not what a server of this protocol sends.
    #[error("the body is no wake: {0}")]
    Body(String),
    /// Genuine, but for another subscription.
    #[error("the wake is for subscription {found:?}, not for {wanted:?}")]
    OtherSubscription {
        /// Whom it is for.
        found: String,
        /// Who was expected.
        wanted: String,
    },
}

impl KeySet {
    /// Reads a published key set; keys of other kinds are left out.
    /// Errors: the document is no key set.
    pub fn parse(document: &[u8]) -> Result<Self, InvalidArgument> {
        let refuse = |reason: &str| InvalidArgument::new("jwks", reason.to_owned());
        let document: Value = serde_json::from_slice(document).map_err(|error| refuse(&error.to_string()))?;
        let keys = document["keys"].as_array().ok_or_else(|| refuse("has no keys"))?;
        let key = |key: &Value| {
            let is_ours = key["kty"] == "OKP" && key["crv"] == "Ed25519";
            let x = BASE64_URL_SAFE_NO_PAD.decode(key["x"].as_str()?).ok()?;
            is_ours.then_some((key["kid"].as_str()?.to_owned(), x))
        };
        Ok(Self(keys.iter().filter_map(key).collect()))
    }
}

/// Takes a webhook for genuine, or says why not: signature over the raw bytes, by the key it
/// names, of this moment, for this subscription. `verifies` checks an Ed25519 signature: key,
/// message, signature. Source: protocol.md §23.8, C45.
pub fn check_webhook(
    headers: &HeaderMap,
    raw_body: &[u8],
    keys: &KeySet,
    subscription_id: &str,
    now_unix_seconds: u64,
    verifies: impl FnOnce(&[u8], &[u8], &[u8]) -> bool,
) -> Result<Wake, WebhookError> {
    let text = headers::text(headers, &WEBHOOK_SIGNATURE).ok_or(WebhookError::Malformed)?;
    let mut parts = text.split(',');
    let mut part = |name: &str| {
        let value = parts.next()?.strip_prefix(name)?.strip_prefix('=')?;
        (!value.is_empty()).then_some(value)
    };
    let (Some(time), Some(kid), Some(signature)) = (part("t"), part("kid"), part("ed25519")) else {
        return Err(WebhookError::Malformed);
    };
    let signed: u64 = time.parse().map_err(|_| WebhookError::Malformed)?;
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| WebhookError::Malformed)?;
    let key = keys.0.get(kid).ok_or_else(|| WebhookError::UnknownKey(kid.to_owned()))?;
    if !verifies(key, &[time.as_bytes(), b".", raw_body].concat(), &signature) {
        return Err(WebhookError::BadSignature);
    }
    if signed.abs_diff(now_unix_seconds) > REPLAY_WINDOW.as_secs() {
        return Err(WebhookError::OutsideWindow { signed, now: now_unix_seconds });
    }
    let wake: Wake = serde_json::from_slice(raw_body).map_err(|error| WebhookError::Body(error.to_string()))?;
    if wake.subscription_id != subscription_id {
        let wanted = subscription_id.to_owned();
        return Err(WebhookError::OtherSubscription { found: wake.subscription_id, wanted });
    }
    Ok(wake)
}

/// Asks for the lease of a pull-wake subscription, to be sent to its `claim` URL.
pub fn claim(worker: &str) -> Result<RequestPlan, InvalidArgument> {
    if worker.is_empty() {
        return Err(InvalidArgument::new("worker", "needs a name".to_owned()));
    }
    control(&json!({ "worker": worker }), None)
}

/// What a claim was answered. `None`: another worker holds the lease, or there is nothing to do.
pub fn claimed(status: StatusCode, body: &[u8]) -> Result<Option<Lease>, LeaseError> {
    if status == StatusCode::OK {
        let wake = serde_json::from_slice(body).map_err(|error| LeaseError::unreadable(status, &error))?;
        return Ok(Some(Lease::new(wake)));
    }
    match LeaseError::of(status, body) {
        LeaseError::Refused { code, .. } if code == "ALREADY_CLAIMED" || code == "NO_PENDING_WORK" => Ok(None),
        error @ (LeaseError::Refused { .. } | LeaseError::Lost { .. }) => Err(error),
    }
}

/// The right to work off one wake, and whether it still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    wake: Wake,
    is_over: bool,
}

/// How far a stream was worked off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ack {
    /// Its path below the server's root of streams.
    pub stream: String,
    /// The last offset that was processed, inclusive.
    pub offset: String,
}

/// Why an acknowledgement did not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else may be at work by now: stop, and acknowledge nothing more.
    #[error("the lease is lost ({code}): another worker may hold it")]
    Lost {
        /// The server's code; `DONE` when the holder itself ended it.
        code: String,
    },
    /// The request was wrong; the lease holds.
    #[error("the server refused ({status} {code}): {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The server's code.
        code: String,
        /// Its words.
        detail: String,
    },
}

impl Lease {
    /// The lease that a wake gives.
    pub const fn new(wake: Wake) -> Self {
        Self { wake, is_over: false }
    }

    /// What is to be done.
    pub const fn wake(&self) -> &Wake {
        &self.wake
    }

    /// Whether it was lost or given back.
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// An acknowledgement, also a sign of life; `done` ends the lease.
    /// Errors: [`LeaseError::Lost`] when it is over; nothing is to be sent then (C46).
    pub fn ack(&self, acks: &[Ack], done: bool) -> Result<RequestPlan, LeaseError> {
        self.plan(json!({ "acks": acks, "done": done }))
    }

    /// Gives the lease back without acknowledging.
    /// Errors: [`LeaseError::Lost`] when it is over.
    pub fn release(&self) -> Result<RequestPlan, LeaseError> {
        self.plan(json!({}))
    }

    fn plan(&self, mut body: Value) -> Result<RequestPlan, LeaseError> {
        if self.is_over {
            return Err(LeaseError::Lost { code: "DONE".to_owned() });
        }
        body["wake_id"] = self.wake.wake_id.as_str().into();
        body["generation"] = self.wake.generation.into();
        control(&body, Some(&self.wake.token)).map_err(|invalid| LeaseError::Refused {
            status: 0,
            code: "INVALID_REQUEST".to_owned(),
            detail: invalid.to_string(),
        })
    }

    /// What an acknowledgement or a release was answered; `ends` says whether it was to end the
    /// lease. `true`: another wake follows at once. A stale wake and a subscription that is gone
    /// mean that the lease is lost. Source: protocol.md §23.6, C46.
    pub fn handle_reply(&mut self, status: StatusCode, body: &[u8], ends: bool) -> Result<bool, LeaseError> {
        if status.is_success() {
            self.is_over |= ends;
            let answer: Value = serde_json::from_slice(body).unwrap_or_default();
            return Ok(answer["next_wake"] == true);
        }
        let error = LeaseError::of(status, body);
        self.is_over |= matches!(error, LeaseError::Lost { .. });
        Err(error)
    }
}

impl LeaseError {
    fn of(status: StatusCode, body: &[u8]) -> Self {
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| answer["error"][name].as_str().unwrap_or_default().to_owned();
        let (code, detail) = (text("code"), text("message"));
        let is_fenced = status == StatusCode::CONFLICT && code == "FENCED";
        if is_fenced || status == StatusCode::NOT_FOUND {
            return Self::Lost { code };
        }
        Self::Refused { status: status.as_u16(), code, detail }
    }

    fn unreadable(status: StatusCode, error: &serde_json::Error) -> Self {
        Self::Refused { status: status.as_u16(), code: String::new(), detail: error.to_string() }
    }
}

fn control(body: &Value, token: Option<&str>) -> Result<RequestPlan, InvalidArgument> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type::JSON));
    if let Some(token) = token {
        let refuse = |_| InvalidArgument::new("token", "is no text a header can carry".to_owned());
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(refuse)?;
        bearer.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, bearer);
    }
    Ok(RequestPlan {
        operation: Operation::Append,
        method: Method::POST,
        query: Vec::new(),
        headers,
        body: body.to_string().into(),
        timeout: TimeoutClass::OneShot,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const BODY: &[u8] =
        br#"{"subscription_id":"s","wake_id":"w_1","generation":3,"streams":[],"callback_url":"http://h/cb","callback_token":"T"}"#;

    /// A stand-in for Ed25519 that takes key, message and signature for one text.
    fn joined(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        [key, b"|", message].concat() == signature
    }

    fn signed(time: u64, kid: &str, key: &str, body: &[u8]) -> HeaderMap {
        let signature = [key.as_bytes(), b"|", time.to_string().as_bytes(), b".", body].concat();
        let text = format!("t={time},kid={kid},ed25519={}", BASE64_URL_SAFE_NO_PAD.encode(signature));
        HeaderMap::from_iter([(WEBHOOK_SIGNATURE, HeaderValue::try_from(text).expect("ASCII"))])
    }

    fn keys() -> KeySet {
        let key =
            |kid, key| json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": BASE64_URL_SAFE_NO_PAD.encode(key) });
        let other = json!({ "kty": "RSA", "kid": "ds_rsa" });
        KeySet::parse(json!({ "keys": [key("ds_a", "A"), key("ds_b", "B"), other] }).to_string().as_bytes())
            .expect("keys")
    }

    fn check(headers: &HeaderMap, body: &[u8], now: u64) -> Result<Wake, WebhookError> {
        check_webhook(headers, body, &keys(), "s", now, joined)
    }

    #[test]
    fn a_genuine_webhook_is_taken_with_the_key_it_names() {
        for (kid, key) in [("ds_a", "A"), ("ds_b", "B")] {
            let wake = check(&signed(NOW, kid, key, BODY), BODY, NOW + 300).expect("genuine");
            assert_eq!((wake.wake_id.as_str(), wake.generation, wake.token.as_str()), ("w_1", 3, "T"));
        }
    }

    #[test]
    fn a_body_with_other_bytes_is_refused_though_it_means_the_same() {
        let spaced = String::from_utf8_lossy(BODY).replace("\":", "\": ");
        let headers = signed(NOW, "ds_a", "A", BODY);
        assert_eq!(check(&headers, spaced.as_bytes(), NOW), Err(WebhookError::BadSignature));
    }

    #[test]
    fn another_key_than_the_named_one_is_no_help() {
        assert_eq!(check(&signed(NOW, "ds_a", "B", BODY), BODY, NOW), Err(WebhookError::BadSignature));
        assert_eq!(check(&signed(NOW, "ds_c", "C", BODY), BODY, NOW), Err(WebhookError::UnknownKey("ds_c".to_owned())));
        assert_eq!(
            check(&signed(NOW, "ds_rsa", "", BODY), BODY, NOW),
            Err(WebhookError::UnknownKey("ds_rsa".to_owned()))
        );
    }

    #[test]
    fn a_time_outside_the_window_is_refused_on_both_sides() {
        let headers = signed(NOW, "ds_a", "A", BODY);
        for now in [NOW - 301, NOW + 301] {
            assert_eq!(check(&headers, BODY, now), Err(WebhookError::OutsideWindow { signed: NOW, now }));
        }
        assert!(check(&headers, BODY, NOW - 300).is_ok());
    }

    #[test]
    fn a_genuine_wake_for_somebody_else_is_refused() {
        let headers = signed(NOW, "ds_a", "A", BODY);
        let refused = check_webhook(&headers, BODY, &keys(), "other", NOW, joined);
        assert_eq!(refused, Err(WebhookError::OtherSubscription { found: "s".to_owned(), wanted: "other".to_owned() }));
    }

    #[test]
    fn fields_out_of_order_are_no_signature() {
        for text in
            ["", "kid=ds_a,t=1,ed25519=AA", "t=1, kid=ds_a,ed25519=AA", "t=x,kid=ds_a,ed25519=AA", "t=1,kid=ds_a"]
        {
            let headers = HeaderMap::from_iter([(WEBHOOK_SIGNATURE, HeaderValue::from_static(text))]);
            assert_eq!(check(&headers, BODY, NOW), Err(WebhookError::Malformed), "{text:?}");
        }
        assert_eq!(check(&HeaderMap::new(), BODY, NOW), Err(WebhookError::Malformed));
    }

    fn lease() -> Lease {
        let body = br#"{"wake_id":"w_1","generation":3,"token":"T","streams":[],"lease_ttl_ms":1000}"#;
        claimed(StatusCode::OK, body).expect("readable").expect("granted")
    }

    #[test]
    fn a_fenced_or_gone_lease_is_lost_and_sends_nothing_more() {
        let fenced: &[u8] = br#"{"error":{"code":"FENCED","message":"stale"}}"#;
        let gone: &[u8] = br#"{"error":{"code":"SUBSCRIPTION_NOT_FOUND","message":"gone"}}"#;
        for (status, body) in [(409, fenced), (404, gone), (404, b"")] {
            let mut lease = lease();
            let status = StatusCode::from_u16(status).expect("a status");
            assert!(matches!(lease.handle_reply(status, body, false), Err(LeaseError::Lost { .. })));
            assert!(lease.is_over());
            assert!(matches!(lease.ack(&[], false), Err(LeaseError::Lost { .. })));
            assert!(matches!(lease.release(), Err(LeaseError::Lost { .. })));
        }
    }

    #[test]
    fn a_refused_offset_leaves_the_lease() {
        let mut lease = lease();
        let body = br#"{"error":{"code":"INVALID_OFFSET","message":"beyond the tail"}}"#;
        let refused = lease.handle_reply(StatusCode::CONFLICT, body, true);
        assert!(matches!(refused, Err(LeaseError::Refused { status: 409, .. })), "{refused:?}");
        let plan = lease.ack(&[Ack { stream: "a".to_owned(), offset: "7".to_owned() }], true).expect("still held");
        assert_eq!(
            serde_json::from_slice::<Value>(&plan.body).expect("JSON"),
            json!({ "wake_id": "w_1", "generation": 3, "acks": [{ "stream": "a", "offset": "7" }], "done": true })
        );
        assert_eq!(plan.headers[header::AUTHORIZATION], "Bearer T");
        assert_eq!(lease.handle_reply(StatusCode::OK, br#"{"ok":true,"next_wake":true}"#, true), Ok(true));
        assert!(lease.is_over());
    }

    #[test]
    fn a_claim_that_finds_nothing_is_no_error() {
        for code in ["ALREADY_CLAIMED", "NO_PENDING_WORK"] {
            let body = json!({ "error": { "code": code } }).to_string();
            assert_eq!(claimed(StatusCode::CONFLICT, body.as_bytes()), Ok(None));
        }
        assert!(claim("").is_err());
    }
}
