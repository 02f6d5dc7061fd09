//! Site addresses.

use super::ADVICE;

/// An address of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Address {
    /// As written.
    pub(in crate::config) text: String,
    /// Host; empty = any.
    pub(in crate::config) host: String,
    /// Port.
    pub(in crate::config) port: u16,
    /// Line it stands on.
    pub(in crate::config) line: usize,
}

/// Reads a site address.
pub(super) fn address(text: &str, line: usize, has_tls: bool) -> Result<Address, String> {
    if text.starts_with('(') || text == "import" {
        return Err(format!("{text:?}: snippets and imports are not supported; write their lines out"));
    }
    if text.contains('{') {
        return Err(format!("the address {text:?} holds a placeholder; write it out, or use {{$NAME:default}}"));
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text),
    };
    match (scheme, has_tls) {
        (None, _) | (Some("http"), false) | (Some("https"), true) => {}
        (Some("http"), true) => return Err(format!("the address {text:?} is plain http, but the site has tls")),
        (Some("https"), false) => {
            return Err(format!(
                "the address {text:?} needs tls <cert> <key>; automatic certificates are not built in"
            ));
        }
        (Some(other), _) => return Err(format!("the scheme {other:?} of {text:?} is unknown; use http or https")),
    }
    if rest.contains('/') {
        return Err(format!("the address {text:?} has a path; use route or handle for paths"));
    }
    let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let (host, port) = match rest.rsplit_once(':').filter(|_| has_port) {
        Some((host, port)) => {
            let port = port.parse().map_err(|_| format!("the port of {text:?} is not a number from 0 to 65535"))?;
            (host, port)
        }
        None if has_tls => (rest, 443),
        None if scheme == Some("http") => (rest, 80),
        None => {
            return Err(format!(
                "the address {text:?} has no port, so it would need automatic certificates, which are not \
                                built in; write {text}:4437, http://{text}, or give tls <cert> <key>"
            ));
        }
    };
    if host.contains('*') {
        return Err(format!("the address {text:?} has a wildcard, which is not supported; {ADVICE}"));
    }
    Ok(Address { text: text.to_owned(), host: host.to_ascii_lowercase(), port, line })
}
