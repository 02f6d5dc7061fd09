//! Stream URLs: joined with the base URL once, completed with a sorted query per request.

use std::sync::Arc;

use base64::Engine as _;
use durable_streams_protocol::{query, request::InvalidArgument};
use http::{HeaderValue, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

/// Query parameters, not yet percent-encoded.
pub(crate) type Params = Vec<(String, String)>;

/// A stream's URL, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct StreamUrl {
    /// The URL as error texts show it: without credentials.
    display: Arc<str>,
    /// The URL without query, fragment and credentials.
    bare: Url,
    /// The same as a request target, ready when there is no query at all.
    plain: Uri,
    /// The URL's own parameters: decoded key, and `key=value` as given.
    own: Vec<(String, String)>,
    /// Credentials that stood in the URL.
    authorization: Option<HeaderValue>,
}

impl StreamUrl {
    /// Takes an absolute `http` or `https` URL apart.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidArgument> {
        let refuse = |reason: String| InvalidArgument::new("url", reason);
        let mut bare = Url::parse(text).map_err(|error| refuse(format!("{text:?} is not a URL: {error}")))?;
        let own: Vec<_> = bare.query().map(split_query).unwrap_or_default();
        if let Some((key, _)) = own.iter().find(|(key, _)| query::RESERVED.contains(&key.as_str())) {
            return Err(refuse(format!("{key:?} is a parameter of the protocol and cannot stand in a stream's URL")));
        }
        let authorization = basic_credentials(&bare);
        if !matches!(bare.scheme(), "http" | "https")
            || bare.set_username("").is_err()
            || bare.set_password(None).is_err()
        {
            return Err(refuse(format!("{text:?} is not an http or https URL")));
        }
        bare.set_fragment(None);
        let display = Arc::from(bare.as_str());
        bare.set_query(None);
        let plain =
            bare.as_str().parse().map_err(|error| refuse(format!("{bare} is not a request target: {error}")))?;
        Ok(Self { display, bare, plain, own, authorization })
    }

    /// The URL as error texts show it.
    pub(crate) const fn display(&self) -> &Arc<str> {
        &self.display
    }

    /// The path, as forks name their source.
    pub(crate) fn path(&self) -> &str {
        self.bare.path()
    }

    /// Whether both URLs share scheme, host and port.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        self.bare.origin() == other.bare.origin()
    }

    /// Credentials that stood in the URL, as an `Authorization` value.
    pub(crate) const fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// The request target: own, custom and protocol parameters sorted by key, so that equal
    /// requests are equal for caches. Later sources replace earlier ones of the same key.
    /// Errors: a custom parameter of a reserved name (protocol.md §25.6).
    pub(crate) fn target(&self, custom: &Params, protocol: &[(&'static str, String)]) -> Result<Uri, InvalidArgument> {
        if self.own.is_empty() && custom.is_empty() && protocol.is_empty() {
            return Ok(self.plain.clone());
        }
        refuse_reserved(custom)?;
        let mut pieces: Vec<(&str, String)> = Vec::with_capacity(self.own.len() + custom.len() + protocol.len());
        let is_replaced = |key: &str| custom.iter().any(|(name, _)| name == key);
        pieces.extend(
            self.own.iter().filter(|(key, _)| !is_replaced(key)).map(|(key, piece)| (key.as_str(), piece.clone())),
        );
        pieces.extend(custom.iter().map(|(key, value)| (key.as_str(), encode_pair(key, value))));
        pieces.extend(protocol.iter().map(|(key, value)| (*key, encode_pair(key, value))));
        pieces.sort_by(|left, right| left.0.cmp(right.0));
        let mut text = String::from(self.bare.as_str());
        for (index, (_, piece)) in pieces.iter().enumerate() {
            text.push(if index == 0 { '?' } else { '&' });
            text.push_str(piece);
        }
        text.try_into().map_err(|error| InvalidArgument::new("params", format!("no request target results: {error}")))
    }
}

/// Refuses parameters that only the protocol sets.
pub(crate) fn refuse_reserved(custom: &Params) -> Result<(), InvalidArgument> {
    match custom.iter().find(|(key, _)| query::RESERVED.contains(&key.as_str())) {
        Some((key, _)) => {
            Err(InvalidArgument::new("params", format!("{key:?} is set by the protocol and cannot be overridden")))
        }
        None => Ok(()),
    }
}

/// Joins a stream's name to a base by plain concatenation with exactly one `/`; a URL of
/// its own stays as it is. Never RFC 3986 resolution, which would drop the base's path.
pub(crate) fn join(base: Option<&str>, name: &str) -> Result<String, InvalidArgument> {
    if is_absolute(name) {
        return Ok(name.to_owned());
    }
    match base {
        Some(base) => Ok(format!("{}/{}", base.trim_end_matches('/'), name.trim_start_matches('/'))),
        None => Err(InvalidArgument::new("url", format!("{name:?} is relative and the client has no base_url"))),
    }
}

/// Whether a text is a URL of its own rather than a name below the base.
pub(crate) fn is_absolute(text: &str) -> bool {
    let starts_with = |scheme: &str| text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme));
    starts_with("http://") || starts_with("https://")
}

/// RFC 3986 unreserved characters stay, everything else is encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn encode_pair(key: &str, value: &str) -> String {
    format!("{}={}", utf8_percent_encode(key, ENCODED), utf8_percent_encode(value, ENCODED))
}

fn split_query(text: &str) -> Vec<(String, String)> {
    let decode_key = |piece: &str| {
        let key = piece.split('=').next().unwrap_or_default().replace('+', " ");
        percent_decode_str(&key).decode_utf8_lossy().into_owned()
    };
    text.split('&').filter(|piece| !piece.is_empty()).map(|piece| (decode_key(piece), piece.to_owned())).collect()
}

fn basic_credentials(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pair = format!("{}:{}", decode(url.username()), decode(url.password().unwrap_or_default()));
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use url::form_urlencoded;

    use super::*;

    proptest! {
        #[test]
        fn any_parameters_arrive_as_given_and_sorted(custom in vec((".{1,8}", ".*"), 0..5), offset in ".*") {
            let custom: Params = custom.into_iter().filter(|(key, _)| !query::RESERVED.contains(&key.as_str())).collect();
            let url = StreamUrl::parse("http://h/s").expect("parses");
            let target = url.target(&custom, &[("offset", offset.clone())]).expect("valid");
            let arrived: Params =
                form_urlencoded::parse(target.query().unwrap_or_default().as_bytes()).into_owned().collect();
            let mut expected = custom;
            expected.push(("offset".to_owned(), offset));
            expected.sort_by(|left, right| left.0.cmp(&right.0));
            prop_assert_eq!(arrived, expected);
        }

        #[test]
        fn any_text_is_a_url_or_refused(text in ".*") {
            let _ = join(Some("http://h/v1"), &text).and_then(|url| StreamUrl::parse(&url));
            let _ = StreamUrl::parse(&text);
        }
    }

    #[test]
    fn names_join_with_exactly_one_slash_and_keep_the_base_path() {
        let joined = |base, name| join(Some(base), name).expect("joins");
        assert_eq!(joined("http://h/v1/stream", "tides"), "http://h/v1/stream/tides");
        assert_eq!(joined("http://h/v1/stream/", "/tides"), "http://h/v1/stream/tides");
        assert_eq!(joined("http://h", "HTTP://other/x"), "HTTP://other/x");
        assert_eq!(join(None, "/tides").expect_err("no base").argument, "url");
    }

    #[test]
    fn queries_are_sorted_by_key_and_encoded() {
        let url = StreamUrl::parse("http://h/s?tag=b+1&tag=a&zone=x").expect("parses");
        let custom = vec![("auth key".to_owned(), "a/b c".to_owned()), ("zone".to_owned(), "y".to_owned())];
        let protocol = [("offset", "0_1,+".to_owned()), ("live", "sse".to_owned())];
        assert_eq!(
            url.target(&custom, &protocol).expect("valid").to_string(),
            "http://h/s?auth%20key=a%2Fb%20c&live=sse&offset=0_1%2C%2B&tag=b+1&tag=a&zone=y"
        );
    }

    #[test]
    fn reserved_parameters_are_refused_wherever_they_come_from() {
        for name in query::RESERVED {
            StreamUrl::parse(&format!("http://h/s?{name}=1")).expect_err("reserved in the URL");
            let url = StreamUrl::parse("http://h/s").expect("parses");
            url.target(&vec![(name.to_owned(), "1".to_owned())], &[]).expect_err("reserved as a custom parameter");
        }
    }

    #[test]
    fn credentials_in_a_url_become_a_header_and_leave_the_text() {
        let url = StreamUrl::parse("https://user:p%40ss@h/s").expect("parses");
        assert_eq!(&**url.display(), "https://h/s");
        // RFC 7617: base64 of `user:p@ss`.
        assert_eq!(url.authorization().expect("has credentials"), "Basic dXNlcjpwQHNz");
    }

    #[test]
    fn urls_that_are_not_http_are_refused_by_name() {
        for bad in ["ftp://h/s", "http://", "mailto:x@y", "http://h:99999/"] {
            assert_eq!(StreamUrl::parse(bad).expect_err(bad).argument, "url");
        }
    }
}
