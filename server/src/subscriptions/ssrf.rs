//! Which addresses webhooks may reach (protocol.md §23.9): the URL is judged when it is
//! given and again at every delivery, and every address its name resolves to is judged
//! where the connection is made, so that a name cannot change in between.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use url::{Host, Url};

/// Longest accepted URL. Units: bytes.
const MAX_URL: usize = 2048;
/// How long a create request waits for a name to resolve. Units: wall-clock time.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether webhooks are sent, and where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookMode {
    /// No webhook subscriptions.
    Off,
    /// Public `https` addresses only.
    #[default]
    Https,
    /// Also `http://localhost` and `http://127.x.x.x`, for development.
    Dev,
}

/// Why an address may not be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Rejected(String);

/// Resolves names; replaceable in tests.
pub(crate) type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Judges URLs and addresses.
#[derive(Clone)]
pub(crate) struct Guard {
    mode: WebhookMode,
    /// Hosts that may be called, `*.example.com` for all below; empty = any.
    allow_hosts: Arc<[String]>,
    lookup: Lookup,
}

impl Guard {
    /// A guard that asks the system's resolver.
    pub(crate) fn new(mode: WebhookMode, allow_hosts: &[String]) -> Self {
        Self::with_lookup(mode, allow_hosts, Arc::new(|name| Box::pin(system_lookup(name))))
    }

    /// A guard with another resolver.
    pub(crate) fn with_lookup(mode: WebhookMode, allow_hosts: &[String], lookup: Lookup) -> Self {
        Self { mode, allow_hosts: allow_hosts.iter().map(|host| host.to_ascii_lowercase()).collect(), lookup }
    }

    /// Whether webhooks are sent at all.
    pub(crate) fn is_off(&self) -> bool {
        self.mode == WebhookMode::Off
    }

    /// Judges a URL by its text.
    pub(crate) fn check_url(&self, text: &str) -> Result<Url, Rejected> {
        if text.len() > MAX_URL {
            return rejected(format!("it is longer than {MAX_URL} bytes"));
        }
        let url = Url::parse(text).map_err(|error| Rejected(format!("{text:?} is not a URL: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return rejected("it carries user information");
        }
        let host = url.host().ok_or_else(|| Rejected("it names no host".to_owned()))?.to_owned();
        self.check_allowed(&host)?;
        match url.scheme() {
            "https" => check_public_host(&host)?,
            "http" if self.mode == WebhookMode::Dev => check_loopback_host(&host)?,
            "http" => return rejected("https is required"),
            other => return rejected(format!("the scheme {other:?} is not https")),
        }
        Ok(url)
    }

    /// Judges the addresses a URL's name has now. A name that does not resolve now may
    /// later: that is judged at delivery.
    pub(crate) async fn check_name(&self, url: &Url) -> Result<(), Rejected> {
        let Some(Host::Domain(name)) = url.host() else { return Ok(()) };
        match tokio::time::timeout(RESOLVE_TIMEOUT, self.resolve(name)).await {
            Ok(Err(Unresolved::Rejected(rejected))) => Err(rejected),
            Ok(Ok(_) | Err(Unresolved::Failed(_))) | Err(_) => Ok(()),
        }
    }

    /// The addresses of a name, all of them judged.
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Unresolved> {
        let addresses = (self.lookup)(name.to_owned()).await.map_err(Unresolved::Failed)?;
        for address in &addresses {
            let fits = if is_localhost(name) { address.is_loopback() } else { is_public(*address) };
            if !fits {
                return Err(Unresolved::Rejected(Rejected(format!(
                    "{name} resolves to {address}, which is not a public address"
                ))));
            }
        }
        Ok(addresses)
    }

    fn check_allowed(&self, host: &Host) -> Result<(), Rejected> {
        let host = host.to_string();
        let fits = |rule: &String| match rule.strip_prefix("*.") {
            Some(domain) => host.strip_suffix(domain).is_some_and(|below| below.len() > 1 && below.ends_with('.')),
            None => host == *rule,
        };
        if self.allow_hosts.is_empty() || self.allow_hosts.iter().any(fits) {
            return Ok(());
        }
        rejected(format!("the host {host} is not on this server's list"))
    }
}

impl reqwest::dns::Resolve for Guard {
    /// What the HTTP client connects to: only addresses that were judged.
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let addresses = Self::resolve(&guard, name.as_str()).await?;
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as reqwest::dns::Addrs)
        })
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("mode", &self.mode)
            .field("allow_hosts", &self.allow_hosts)
            .finish_non_exhaustive()
    }
}

/// Why a name gave no address to connect to.
#[derive(Debug, thiserror::Error)]
enum Unresolved {
    #[error(transparent)]
    Rejected(Rejected),
    #[error("the name does not resolve: {0}")]
    Failed(io::Error),
}

async fn system_lookup(name: String) -> io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.map(|address| address.ip()).collect())
}

/// The host of an `https` URL: a public name or a public IPv4 address.
fn check_public_host(host: &Host) -> Result<(), Rejected> {
    match host {
        Host::Domain(name) if is_localhost(name) || name.trim_end_matches('.').ends_with(".localhost") => {
            rejected("it points at this machine")
        }
        Host::Domain(_) => Ok(()),
        Host::Ipv4(address) if is_public_v4(*address) => Ok(()),
        Host::Ipv4(address) => rejected(format!("{address} is not a public address")),
        Host::Ipv6(_) => rejected("IPv6 literals are not accepted; use a host name"),
    }
}

/// The host of an `http` URL in development.
fn check_loopback_host(host: &Host) -> Result<(), Rejected> {
    match host {
        Host::Domain(name) if name == "localhost" => Ok(()),
        Host::Ipv4(address) if address.is_loopback() => Ok(()),
        Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_) => {
            rejected("http is accepted for localhost and 127.x.x.x only; https is required elsewhere")
        }
    }
}

fn is_localhost(name: &str) -> bool {
    name.trim_end_matches('.').eq_ignore_ascii_case("localhost")
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Source: IANA special-purpose address registry; all that is not globally reachable.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224..=255, _, _)
    )
}

/// Global unicast; forms that carry an IPv4 address are judged by that address.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // IPv4-mapped, and NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        // 6to4.
        [0x2002, high, low, ..] => v4(high, low),
        // Teredo, ORCHID and other protocol assignments; documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] => false,
        [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

fn rejected<T>(reason: impl Into<String>) -> Result<T, Rejected> {
    Err(Rejected(reason.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(mode: WebhookMode) -> Guard {
        Guard::new(mode, &[])
    }

    fn resolving_to(addresses: &[&str]) -> Guard {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        Guard::with_lookup(
            WebhookMode::Dev,
            &[],
            Arc::new(move |_| Box::pin(std::future::ready(Ok(addresses.clone())))),
        )
    }

    #[test]
    fn public_https_is_accepted_in_both_modes() {
        for mode in [WebhookMode::Https, WebhookMode::Dev] {
            for url in [
                "https://example.com/hook",
                "https://example.com:8443/hook?a=b",
                "https://8.8.8.8/",
                "HTTPS://EXAMPLE.COM",
            ] {
                assert!(guard(mode).check_url(url).is_ok(), "{url}");
            }
        }
    }

    #[test]
    fn everything_else_is_rejected_in_both_modes() {
        for mode in [WebhookMode::Https, WebhookMode::Dev] {
            for url in [
                "",
                "nonsense",
                "/path",
                "ftp://example.com/",
                "file:///etc/passwd",
                "gopher://example.com",
                "javascript:alert(1)",
                "http://10.0.0.1/hook",
                "http://example.com/hook",
                "http://192.168.0.1/",
                "http://169.254.169.254/latest/meta-data",
                "http://0.0.0.0/",
                "http://[::1]/",
                "http://foo.localhost/",
                "http://localhost.example.com/",
                "https://localhost/",
                "https://LOCALHOST/",
                "https://localhost./",
                "https://a.localhost/",
                "https://127.0.0.1/",
                "https://127.1/",
                "https://0x7f000001/",
                "https://2130706433/",
                "https://0177.0.0.1/",
                "https://0.0.0.0/",
                "https://10.1.2.3/",
                "https://172.16.0.1/",
                "https://172.31.255.255/",
                "https://192.168.1.1/",
                "https://169.254.169.254/",
                "https://100.64.0.1/",
                "https://100.127.255.255/",
                "https://224.0.0.1/",
                "https://255.255.255.255/",
                "https://[::1]/",
                "https://[fc00::1]/",
                "https://[fe80::1]/",
                "https://[::ffff:127.0.0.1]/",
                "https://[2606:4700::1]/",
                "https://user@example.com/",
                "https://user:pw@example.com/",
                "https://:pw@example.com/",
                "https://",
            ] {
                assert!(guard(mode).check_url(url).is_err(), "{url:?} in {mode:?}");
            }
        }
    }

    #[test]
    fn only_development_calls_http_on_this_machine() {
        for url in
            ["http://localhost:3000/hook", "http://127.0.0.1:3000/hook", "http://127.9.9.9/", "http://LOCALHOST/"]
        {
            assert!(guard(WebhookMode::Dev).check_url(url).is_ok(), "{url}");
            assert!(guard(WebhookMode::Https).check_url(url).is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn one_forbidden_address_condemns_the_name() {
        let url = Url::parse("https://rebound.example/").expect("a URL");
        for address in [
            "127.0.0.1",
            "10.0.0.1",
            "100.64.0.1",
            "169.254.169.254",
            "172.20.0.1",
            "192.168.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "240.0.0.1",
            "::",
            "::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "2001:db8::1",
            "2001::1",
        ] {
            let guard = resolving_to(&["93.184.216.34", address]);
            assert!(guard.check_name(&url).await.is_err(), "{address}");
            assert!(Guard::resolve(&guard, "rebound.example").await.is_err(), "{address}");
        }
        for address in ["93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"] {
            assert!(resolving_to(&[address]).check_name(&url).await.is_ok(), "{address}");
        }
    }

    #[tokio::test]
    async fn localhost_must_stay_on_this_machine() {
        let url = Url::parse("http://localhost/").expect("a URL");
        assert!(resolving_to(&["127.0.0.1", "::1"]).check_name(&url).await.is_ok());
        assert!(resolving_to(&["93.184.216.34"]).check_name(&url).await.is_err());
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_judged_at_delivery() {
        let failing = Guard::with_lookup(
            WebhookMode::Https,
            &[],
            Arc::new(|_| Box::pin(async { Err(io::Error::other("no network")) })),
        );
        assert!(failing.check_name(&Url::parse("https://example.com/").expect("a URL")).await.is_ok());
        assert!(Guard::resolve(&failing, "example.com").await.is_err());
    }

    #[test]
    fn a_list_of_hosts_narrows_the_choice() {
        let guard = Guard::new(WebhookMode::Https, &["hooks.example".to_owned(), "*.Partner.example".to_owned()]);
        for (url, expected) in [
            ("https://hooks.example/a", true),
            ("https://a.partner.example/", true),
            ("https://partner.example/", false),
            ("https://evilpartner.example/", false),
            ("https://x.hooks.example/", false),
            ("https://other.example/", false),
        ] {
            assert_eq!(guard.check_url(url).is_ok(), expected, "{url}");
        }
    }
}
