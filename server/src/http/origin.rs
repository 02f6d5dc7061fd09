//! Under which URL a client sees this server: for `Location` and callback URLs.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, Uri, header, uri::Authority};

/// What is known about a connection before its first request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// The other side's address.
    pub(crate) ip: IpAddr,
    /// This side's address and port; the last resort for a URL.
    pub(crate) local: std::net::SocketAddr,
    /// Whether the connection is encrypted.
    pub(crate) is_tls: bool,
}

/// How to find the public origin.
#[derive(Debug, Clone, Default)]
pub struct OriginPolicy {
    /// The configured origin, such as `https://streams.example.com`; wins over everything.
    pub public_url: Option<String>,
    /// Networks whose `X-Forwarded-Proto` and `X-Forwarded-Host` count.
    pub trusted_proxies: Vec<Network>,
}

/// An address range in CIDR form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_len: u8,
}

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

impl OriginPolicy {
    /// The origin (scheme, host and port, no trailing slash) a request was sent to.
    pub(crate) fn origin_of(&self, peer: &Peer, uri: &Uri, headers: &HeaderMap) -> String {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        let forwarded = |name: &HeaderName| {
            let is_trusted = self.trusted_proxies.iter().any(|network| network.contains(peer.ip));
            // The first entry is the one nearest to the client.
            is_trusted.then(|| headers.get(name)?.to_str().ok()?.split(',').next().map(str::trim)).flatten()
        };
        let scheme = forwarded(&X_FORWARDED_PROTO)
            .filter(|scheme| matches!(*scheme, "http" | "https"))
            .unwrap_or(if peer.is_tls { "https" } else { "http" });
        let host = forwarded(&X_FORWARDED_HOST)
            .filter(|host| is_host(host))
            .or_else(|| uri.authority().map(Authority::as_str).filter(|host| is_host(host)))
            .or_else(|| headers.get(header::HOST)?.to_str().ok().filter(|host| is_host(host)));
        match host {
            Some(host) => format!("{scheme}://{host}"),
            None => format!("{scheme}://{}", peer.local),
        }
    }
}

/// Host and optional port, nothing else: no user info, nothing that could split a header.
fn is_host(text: &str) -> bool {
    !text.contains('@') && text.parse::<Authority>().is_ok()
}

impl Network {
    /// Parses an address or a CIDR range.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix_len) = match text.split_once('/') {
            Some((address, len)) => (address.parse::<IpAddr>().ok()?, len.parse().ok()?),
            None => {
                let address = text.parse::<IpAddr>().ok()?;
                (address, if address.is_ipv4() { 32 } else { 128 })
            }
        };
        let max = if address.is_ipv4() { 32 } else { 128 };
        (prefix_len <= max).then_some(Self { address, prefix_len })
    }

    /// Whether the range holds an address. IPv4 in IPv6 form counts as IPv4.
    pub fn contains(self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix_len)).unwrap_or(0);
                u32::from(network) & mask == u32::from(ip) & mask
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix_len)).unwrap_or(0);
                u128::from(network) & mask == u128::from(ip) & mask
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const PEER: Peer = Peer {
        ip: IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3)),
        local: std::net::SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4437),
        is_tls: false,
    };

    fn request_headers() -> HeaderMap {
        let mut map = HeaderMap::new();
        map.insert(header::HOST, HeaderValue::from_static("inside:4437"));
        map.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        map.insert("x-forwarded-host", HeaderValue::from_static("streams.example.com, proxy"));
        map
    }

    #[test]
    fn forwarded_headers_count_only_from_trusted_proxies() {
        let uri = Uri::from_static("/v1/stream/a");
        let mut policy = OriginPolicy::default();
        assert_eq!(policy.origin_of(&PEER, &uri, &request_headers()), "http://inside:4437");
        policy.trusted_proxies = vec![Network::parse("10.0.0.0/8").expect("a range")];
        assert_eq!(policy.origin_of(&PEER, &uri, &request_headers()), "https://streams.example.com");
        policy.public_url = Some("https://public".to_owned());
        assert_eq!(policy.origin_of(&PEER, &uri, &request_headers()), "https://public");
    }

    #[test]
    fn a_missing_or_odd_host_falls_back_to_the_local_address() {
        let uri = Uri::from_static("/v1/stream/a");
        let policy = OriginPolicy::default();
        assert_eq!(policy.origin_of(&PEER, &uri, &HeaderMap::new()), "http://127.0.0.1:4437");
        let odd = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("a@b c"))]);
        assert_eq!(policy.origin_of(&PEER, &uri, &odd), "http://127.0.0.1:4437");
    }

    #[test]
    fn networks_match_by_prefix() {
        let network = |text| Network::parse(text).expect(text);
        assert!(network("10.0.0.0/8").contains("10.255.0.1".parse().expect("ip")));
        assert!(!network("10.0.0.0/8").contains("11.0.0.1".parse().expect("ip")));
        assert!(network("127.0.0.1").contains("::ffff:127.0.0.1".parse().expect("ip")));
        assert!(network("0.0.0.0/0").contains("8.8.8.8".parse().expect("ip")));
        assert!(network("fd00::/8").contains("fd12::1".parse().expect("ip")));
        for bad in ["10.0.0.0/33", "x", "10.0.0.0/", "::1/129"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
