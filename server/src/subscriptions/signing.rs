//! Signatures of outgoing webhooks, and the public keys to check them with
//! (protocol.md §23.8).

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    digest,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::model::UnixMs;

/// How long a retired key stays published: twice the window in which receivers accept a
/// delivery, so that their caches and clocks may lag. Units: ms.
const RETIRED_FOR_MS: u64 = 2 * 300_000;

/// The keys of a server: one signs, earlier ones are published for a while.
#[derive(Debug)]
pub(crate) struct KeyRing {
    current: SigningKey,
    retired: Vec<SigningKey>,
}

/// One Ed25519 key.
pub(crate) struct SigningKey {
    pair: Ed25519KeyPair,
    kid: String,
    stored: StoredKey,
}

/// A key as it is kept in the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredKey {
    /// PKCS #8, base64url.
    pkcs8: String,
    /// When it was made.
    created_at: UnixMs,
    /// When the next one took over.
    retired_at: Option<UnixMs>,
}

/// Why a key cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[error("the signing key {0}")]
pub(crate) struct KeyError(&'static str);

impl KeyRing {
    /// Orders the stored keys: the newest unretired one signs. `None` = there is none yet.
    pub(crate) fn load(stored: Vec<StoredKey>) -> Result<Option<Self>, KeyError> {
        let mut keys = stored.into_iter().map(SigningKey::load).collect::<Result<Vec<_>, _>>()?;
        keys.sort_by_key(|key| (key.stored.retired_at.is_none(), key.stored.created_at));
        Ok(keys.pop().filter(|key| key.stored.retired_at.is_none()).map(|current| Self { current, retired: keys }))
    }

    /// A ring with one fresh key.
    pub(crate) fn generate(now: UnixMs) -> Result<Self, KeyError> {
        Ok(Self { current: SigningKey::generate(now)?, retired: Vec::new() })
    }

    /// A ring where a fresh key signs and the present ones are retired.
    pub(crate) fn rotated(&self, now: UnixMs) -> Result<Self, KeyError> {
        let keep = self.retired.iter().map(|key| key.stored.clone());
        let leaving = StoredKey { retired_at: Some(now), ..self.current.stored.clone() };
        let retired = keep.chain([leaving]).filter(|key| is_published(key, now)).map(SigningKey::load);
        Ok(Self { current: SigningKey::generate(now)?, retired: retired.collect::<Result<_, _>>()? })
    }

    /// The id of the key that signs.
    pub(crate) fn kid(&self) -> &str {
        &self.current.kid
    }

    /// All keys, to be stored under their ids.
    pub(crate) fn stored(&self) -> impl Iterator<Item = (&str, &StoredKey)> {
        self.retired.iter().chain([&self.current]).map(|key| (key.kid.as_str(), &key.stored))
    }

    /// The value of the signature header for a body sent at `now`.
    pub(crate) fn sign(&self, body: &[u8], now: UnixMs) -> String {
        let seconds = now / 1000;
        let mut signed = format!("{seconds}.").into_bytes();
        signed.extend_from_slice(body);
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.current.pair.sign(&signed));
        format!("t={seconds},kid={},ed25519={signature}", self.current.kid)
    }

    /// The published key set.
    pub(crate) fn jwks(&self, now: UnixMs) -> Value {
        let retired = self.retired.iter().filter(|key| is_published(&key.stored, now));
        let keys: Vec<Value> = std::iter::once(&self.current).chain(retired).map(SigningKey::jwk).collect();
        json!({ "keys": keys })
    }
}

fn is_published(key: &StoredKey, now: UnixMs) -> bool {
    key.retired_at.is_none_or(|at| now < at + RETIRED_FOR_MS)
}

impl SigningKey {
    fn generate(now: UnixMs) -> Result<Self, KeyError> {
        let pkcs8 =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError("could not be generated"))?;
        let pkcs8 = BASE64_URL_SAFE_NO_PAD.encode(pkcs8.as_ref());
        Self::load(StoredKey { pkcs8, created_at: now, retired_at: None })
    }

    fn load(stored: StoredKey) -> Result<Self, KeyError> {
        let pkcs8 = BASE64_URL_SAFE_NO_PAD.decode(&stored.pkcs8).map_err(|_| KeyError("is not base64url"))?;
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| KeyError("is not an Ed25519 key in PKCS #8"))?;
        let kid = kid(&x(&pair));
        Ok(Self { pair, kid, stored })
    }

    fn jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": x(&self.pair), "kid": self.kid, "use": "sig", "alg": "EdDSA" })
    }
}

impl fmt::Debug for SigningKey {
    /// Leaves the private key out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

fn x(pair: &Ed25519KeyPair) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(pair.public_key())
}

/// `ds_` and the RFC 7638 thumbprint: SHA-256 of the required members in lexical order.
fn kid(x: &str) -> String {
    let thumbprint = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    format!("ds_{}", BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, thumbprint.as_bytes())))
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    /// What a receiver does: find the key by its id in the published set, check the raw bytes.
    fn receiver_accepts(jwks: &Value, header: &str, body: &[u8]) -> bool {
        let fields: Vec<(&str, &str)> = header.split(',').filter_map(|field| field.split_once('=')).collect();
        let [("t", t), ("kid", kid), ("ed25519", signature)] = fields[..] else { return false };
        let Some(key) = jwks["keys"].as_array().and_then(|keys| keys.iter().find(|key| key["kid"] == kid)) else {
            return false;
        };
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url");
        let x = decode(key["x"].as_str().expect("a string"));
        let signed = [t.as_bytes(), b".", body].concat();
        UnparsedPublicKey::new(&ED25519, x).verify(&signed, &decode(signature)).is_ok()
    }

    #[test]
    fn a_receiver_verifies_with_the_published_key() {
        let ring = KeyRing::generate(0).expect("a key");
        let header = ring.sign(b"{}", 1_700_000_000_999);
        assert!(header.starts_with("t=1700000000,kid=ds_"), "{header}");
        assert!(receiver_accepts(&ring.jwks(0), &header, b"{}"));
        assert!(!receiver_accepts(&ring.jwks(0), &header, b"{ }"));
    }

    #[test]
    fn keys_survive_storage() {
        let ring = KeyRing::generate(5).expect("a key");
        let stored = ring.stored().map(|(_, key)| key.clone()).collect();
        let again = KeyRing::load(stored).expect("readable").expect("a key");
        assert_eq!(again.kid(), ring.kid());
        assert!(receiver_accepts(&ring.jwks(0), &again.sign(b"x", 0), b"x"));
    }

    #[test]
    fn a_retired_key_is_published_until_its_deliveries_are_too_old() {
        let old = KeyRing::generate(0).expect("a key");
        let delivery = old.sign(b"x", 1000);
        let new = old.rotated(2000).expect("a key");
        assert_ne!(new.kid(), old.kid());
        assert!(receiver_accepts(&new.jwks(2000 + 300_000), &delivery, b"x"));
        assert!(!receiver_accepts(&new.jwks(2000 + RETIRED_FOR_MS), &delivery, b"x"));
        let stored = new.stored().map(|(_, key)| key.clone()).collect();
        assert_eq!(KeyRing::load(stored).expect("readable").expect("a key").kid(), new.kid());
    }

    #[test]
    fn the_key_id_is_the_rfc_8037_thumbprint() {
        // RFC 8037, appendix A.3.
        assert_eq!(
            kid("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            "ds_kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }
}
