//! Bearer tokens of a wake: `base64url(JSON).base64url(HMAC-SHA256)` (protocol.md §23.6).
//!
//! A token proves who was told of a wake, nothing more: whether the wake is still the
//! current one is the fence's question, so validity needs no stored state.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, header};
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::{error::ApiError, model::UnixMs};

/// How long a token is good for. A worker may keep one wake alive by heartbeats and gets
/// no new token, so this is longer than any lease; a finished wake ends it earlier.
/// Units: ms.
const TTL_MS: u64 = 24 * 3_600_000;
/// Length of the secret. Units: bytes.
pub(crate) const SECRET_LEN: usize = 32;

/// Issues and checks tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    key: hmac::Key,
}

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    /// Subscription.
    sub: String,
    /// Generation.
    #[serde(rename = "gen")]
    generation: u64,
    /// Expiry, Unix milliseconds.
    exp: UnixMs,
}

impl Tokens {
    /// Tokens under a secret kept by the caller.
    pub(crate) fn new(secret: &[u8; SECRET_LEN]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    /// A token for one wake.
    pub(crate) fn issue(&self, subscription: &str, generation: u64, now: UnixMs) -> String {
        let claims = Claims { sub: subscription.to_owned(), generation, exp: now + TTL_MS };
        let payload = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims).unwrap_or_default());
        let tag = hmac::sign(&self.key, payload.as_bytes());
        format!("{payload}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag))
    }

    /// The generation a request is authorised for; refuses what is missing, forged,
    /// expired or meant for another subscription.
    pub(crate) fn verify(&self, headers: &HeaderMap, subscription: &str, now: UnixMs) -> Result<u64, ApiError> {
        let token = bearer(headers)?;
        let malformed = ApiError::TokenInvalid("the token is malformed or was not issued by this server");
        let (payload, tag) = token.split_once('.').ok_or_else(|| malformed.clone())?;
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).map_err(|_| malformed.clone())?;
        hmac::verify(&self.key, payload.as_bytes(), &tag).map_err(|_| malformed.clone())?;
        let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).map_err(|_| malformed.clone())?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| malformed)?;
        if claims.sub != subscription {
            return Err(ApiError::TokenInvalid("the token belongs to another subscription"));
        }
        if claims.exp <= now {
            return Err(ApiError::TokenExpired);
        }
        Ok(claims.generation)
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let value =
        headers.get(header::AUTHORIZATION).ok_or(ApiError::TokenInvalid("Authorization: Bearer <token> is missing"))?;
    let value = value.to_str().unwrap_or_default();
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(ApiError::TokenInvalid("Authorization must be of the form: Bearer <token>")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().expect("a header value"));
        headers
    }

    fn code(result: Result<u64, ApiError>) -> &'static str {
        result.expect_err("refused").code()
    }

    #[test]
    fn a_token_is_good_for_its_subscription_until_it_expires() {
        let tokens = Tokens::new(&[7; SECRET_LEN]);
        let headers = with(&format!("bearer {}", tokens.issue("s", 3, 1000)));
        assert_eq!(tokens.verify(&headers, "s", 1000).expect("valid"), 3);
        assert_eq!(code(tokens.verify(&headers, "other", 1000)), "TOKEN_INVALID");
        assert_eq!(tokens.verify(&headers, "s", 999 + TTL_MS).expect("still valid"), 3);
        assert_eq!(code(tokens.verify(&headers, "s", 1000 + TTL_MS)), "TOKEN_EXPIRED");
    }

    #[test]
    fn another_secret_or_any_changed_byte_is_a_forgery() {
        let tokens = Tokens::new(&[7; SECRET_LEN]);
        let token = tokens.issue("s", 3, 1000);
        assert_eq!(
            code(Tokens::new(&[8; SECRET_LEN]).verify(&with(&format!("Bearer {token}")), "s", 1000)),
            "TOKEN_INVALID"
        );
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).expect("ASCII");
            assert_eq!(
                code(tokens.verify(&with(&format!("Bearer {forged}")), "s", 1000)),
                "TOKEN_INVALID",
                "byte {at}"
            );
        }
    }

    #[test]
    fn only_the_bearer_header_counts() {
        let tokens = Tokens::new(&[7; SECRET_LEN]);
        assert_eq!(code(tokens.verify(&HeaderMap::new(), "s", 0)), "TOKEN_INVALID");
        for value in ["", "Bearer", "Bearer x", "Basic abc", &tokens.issue("s", 1, 0)] {
            assert_eq!(code(tokens.verify(&with(value), "s", 0)), "TOKEN_INVALID", "{value:?}");
        }
    }
}
