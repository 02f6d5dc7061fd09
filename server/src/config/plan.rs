//! From settings to what is started.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::{
    ConfigError, Mode,
    caddyfile::{Address, CaddyAction, CaddyRoute, CaddySite},
    layer::{Layer, LogFormat, StorageKind},
    values::show_duration,
};
use crate::{
    backend::{BackendOptions, Durability, Storage},
    http::{CorsPolicy, HttpOptions},
    launch::{ActionPlan, HostPlan, RoutePlan, SitePlan, StreamsPlan},
    server::{ServerOptions, WebhookMode},
};

/// Port of a standalone server (protocol.md §24).
const DEFAULT_PORT: u16 = 4437;
const DEFAULT_DIR: &str = "./streams-data";
const ANY_ADDRESS: &str = "0.0.0.0";

/// What is started.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) sites: Vec<SitePlan>,
    pub(super) max_connections: usize,
    pub(super) log_format: LogFormat,
    pub(super) worker_threads: Option<usize>,
}

/// The plan of flags, environment and TOML: one site.
pub(super) fn of_layers(
    mode: Mode,
    file: Layer,
    upper: &Layer,
    warnings: &mut Vec<String>,
) -> Result<Plan, ConfigError> {
    let layer = file.under(upper);
    let host = layer.host.clone().unwrap_or_else(|| mode.default_host().to_owned());
    let site = SitePlan {
        host,
        port: layer.port.unwrap_or(DEFAULT_PORT),
        tls: tls(&layer)?,
        hosts: vec![HostPlan {
            name: None,
            routes: vec![RoutePlan { matcher: None, action: streams(mode, &layer, 0, warnings) }],
        }],
    };
    Ok(finish(vec![site], &layer, warnings))
}

/// The plan of a Caddyfile. Flags and environment win where it is clear what they mean.
pub(super) fn of_caddyfile(
    file: &str,
    sites: Vec<CaddySite>,
    upper: &Layer,
    warnings: &mut Vec<String>,
) -> Result<Plan, ConfigError> {
    let is_single = sites.len() == 1 && sites.iter().all(|site| site.addresses.len() == 1);
    let has_one_block = sites.iter().map(|site| count_streams(&site.routes)).sum::<usize>() == 1;
    let mut upper = upper.clone();
    if !is_single && (upper.host.take().is_some() | upper.port.take().is_some()) {
        warnings.push(format!("{file} has several addresses, so host and port from outside are ignored"));
    }
    if !has_one_block
        && (upper.storage.take().is_some() | upper.data_dir.take().is_some() | upper.prefix.take().is_some())
    {
        warnings.push(format!("{file} has several stores, so storage, data-dir and prefix from outside are ignored"));
    }
    let mut plans: Vec<SitePlan> = Vec::new();
    let mut block = 0;
    for site in sites {
        let routes = routes(site.routes, &upper, &mut block, warnings);
        for address in &site.addresses {
            let (host, name) = split_host(address);
            let host = upper.host.clone().unwrap_or(host);
            let port = upper.port.unwrap_or(address.port);
            let tls = tls(&upper)?.or_else(|| site.tls.clone());
            let served = HostPlan { name, routes: routes.clone() };
            let Some(known) = plans.iter_mut().find(|plan| plan.port == port && port != 0 && plan.host == host) else {
                plans.push(SitePlan { host, port, tls, hosts: vec![served] });
                continue;
            };
            if known.tls != tls {
                let reason = format!("{} shares its port with another site but not its tls", address.text);
                return Err(ConfigError::at(file, address.line, reason));
            }
            if known.hosts.iter().any(|host| host.name == served.name) {
                let reason = format!("{} is the address of two sites", address.text);
                return Err(ConfigError::at(file, address.line, reason));
            }
            known.hosts.push(served);
        }
    }
    Ok(finish(plans, &upper, warnings))
}

impl Plan {
    /// The effective settings, for people.
    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for site in &self.sites {
            let scheme = if site.tls.is_some() { "https" } else { "http" };
            text.push_str(&format!("{scheme}://{}:{}\n", site.host, site.port));
            for host in &site.hosts {
                if let Some(name) = &host.name {
                    text.push_str(&format!("  host {name}\n"));
                }
                describe_routes(&mut text, &host.routes, 2);
            }
        }
        text.push_str(&format!("max-connections {}\n", self.max_connections));
        text
    }
}

fn describe_routes(text: &mut String, routes: &[RoutePlan], indent: usize) {
    let pad = " ".repeat(indent);
    for route in routes {
        let guard = if route.matcher.is_some() { " (matched)" } else { "" };
        match &route.action {
            ActionPlan::Streams(streams) => {
                text.push_str(&format!("{pad}streams{guard}\n"));
                for (name, value) in streams_settings(streams) {
                    text.push_str(&format!("{pad}  {name} {value}\n"));
                }
            }
            ActionPlan::Respond { status, .. } => text.push_str(&format!("{pad}respond {}{guard}\n", status.as_u16())),
            ActionPlan::ForwardAuth { upstream, .. } => {
                text.push_str(&format!("{pad}forward-auth {upstream}{guard}\n"))
            }
            ActionPlan::Proxy(upstream) => text.push_str(&format!("{pad}reverse-proxy {upstream}{guard}\n")),
            ActionPlan::Group { routes, .. } => {
                text.push_str(&format!("{pad}group{guard}\n"));
                describe_routes(text, routes, indent + 2);
            }
        }
    }
}

fn streams_settings(plan: &StreamsPlan) -> Vec<(&'static str, String)> {
    let StreamsPlan { backend, http, .. } = plan;
    let mut settings = vec![
        ("prefix", http.prefix.clone()),
        (
            "storage",
            match &backend.storage {
                Storage::Memory => "memory".to_owned(),
                Storage::File(dir) => format!("file {}", dir.display()),
            },
        ),
        (
            "durability",
            match backend.durability {
                Durability::Wal => "wal".to_owned(),
                Durability::Memory => "memory".to_owned(),
            },
        ),
        (
            "webhooks",
            match backend.webhooks {
                WebhookMode::Off => "off".to_owned(),
                WebhookMode::Https => "https".to_owned(),
                WebhookMode::Dev => "dev".to_owned(),
            },
        ),
        ("public-url", http.origin.public_url.clone().unwrap_or_else(|| "as requested".to_owned())),
        (
            "cors-origin",
            match &http.cors {
                CorsPolicy::Any => "*".to_owned(),
                CorsPolicy::Only(origins) => {
                    let origins: Vec<_> = origins.iter().filter_map(|origin| origin.to_str().ok()).collect();
                    origins.join(",")
                }
            },
        ),
        ("long-poll-timeout", show_duration(http.long_poll_timeout)),
        ("sse-reconnect-interval", show_duration(http.sse_reconnect_interval)),
        ("max-body-bytes", http.max_body_bytes.to_string()),
        ("max-chunk-bytes", http.max_chunk_bytes.to_string()),
        ("max-live-readers", http.max_live_readers.to_string()),
        ("compression", http.compression.to_string()),
        ("metrics", http.metrics.to_string()),
        ("test-control", http.test_control.to_string()),
    ];
    if let Some(most) = backend.max_streams {
        settings.push(("max-streams", most.to_string()));
    }
    settings
}

fn finish(sites: Vec<SitePlan>, layer: &Layer, warnings: &mut Vec<String>) -> Plan {
    for site in &sites {
        let is_guarded = site.hosts.iter().all(|host| host.routes.iter().any(is_guard));
        if !is_loopback(&site.host) && !is_guarded {
            warnings.push(format!(
                "anyone who can reach {}:{} can read and write all streams; this server has no access control of its own, \
                 so put one in front or listen on 127.0.0.1",
                site.host, site.port
            ));
        }
    }
    Plan {
        sites,
        max_connections: layer.max_connections.unwrap_or_else(|| ServerOptions::default().max_connections),
        log_format: layer.log_format.unwrap_or_default(),
        worker_threads: layer.worker_threads,
    }
}

fn is_guard(route: &RoutePlan) -> bool {
    match &route.action {
        ActionPlan::ForwardAuth { .. } => true,
        ActionPlan::Respond { .. } => route.matcher.is_some(),
        ActionPlan::Group { routes, .. } => routes.iter().any(is_guard),
        ActionPlan::Streams(_) | ActionPlan::Proxy(_) => false,
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn tls(layer: &Layer) -> Result<Option<(PathBuf, PathBuf)>, ConfigError> {
    match (&layer.tls_cert, &layer.tls_key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some((certificate.clone(), key.clone()))),
        (Some(_), None) => Err(ConfigError::usage("tls-cert needs tls-key, the private key to it")),
        (None, Some(_)) => Err(ConfigError::usage("tls-key needs tls-cert, the certificate to it")),
    }
}

fn routes(routes: Vec<CaddyRoute>, upper: &Layer, block: &mut usize, warnings: &mut Vec<String>) -> Vec<RoutePlan> {
    let mut plans = Vec::new();
    for CaddyRoute { matcher, action } in routes {
        let action = match action {
            CaddyAction::Streams(layer) => {
                *block += 1;
                streams(Mode::Serve, &layer.under(upper), *block, warnings)
            }
            CaddyAction::Respond(status, body) => ActionPlan::Respond { status, body },
            CaddyAction::ForwardAuth { upstream, uri, copy_headers } => {
                ActionPlan::ForwardAuth { upstream, uri, copy_headers }
            }
            CaddyAction::Proxy(upstream) => ActionPlan::Proxy(upstream),
            CaddyAction::Group { is_final, routes: inner } => {
                ActionPlan::Group { is_final, routes: self::routes(inner, upper, block, warnings) }
            }
        };
        plans.push(RoutePlan { matcher, action });
    }
    plans
}

fn count_streams(routes: &[CaddyRoute]) -> usize {
    routes
        .iter()
        .map(|route| match &route.action {
            CaddyAction::Streams(_) => 1,
            CaddyAction::Group { routes, .. } => count_streams(routes),
            CaddyAction::Respond(..) | CaddyAction::ForwardAuth { .. } | CaddyAction::Proxy(_) => 0,
        })
        .sum()
}

/// The address to listen on, and the host name to serve there. Names other than
/// localhost are matched against the request, as Caddy does, not resolved.
fn split_host(address: &Address) -> (String, Option<String>) {
    match address.host.as_str() {
        "" => (ANY_ADDRESS.to_owned(), None),
        host if host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() => {
            (host.to_owned(), None)
        }
        name => (ANY_ADDRESS.to_owned(), Some(name.to_owned())),
    }
}

fn streams(mode: Mode, layer: &Layer, block: usize, warnings: &mut Vec<String>) -> ActionPlan {
    let kind = layer.storage.unwrap_or(match mode {
        Mode::Dev if layer.data_dir.is_none() => StorageKind::Memory,
        Mode::Dev | Mode::Serve => StorageKind::File,
    });
    let storage = match kind {
        StorageKind::Memory => Storage::Memory,
        StorageKind::File => Storage::File(layer.data_dir.clone().unwrap_or_else(|| Path::new(DEFAULT_DIR).to_owned())),
    };
    if kind == StorageKind::Memory && layer.wal_shards.is_some() {
        warnings.push("wal-shards has no effect on a memory store".to_owned());
    }
    let defaults = HttpOptions::default();
    let mut cursor_clock = defaults.cursor_clock;
    cursor_clock.interval_seconds = layer.cursor_interval.unwrap_or(cursor_clock.interval_seconds);
    cursor_clock.epoch_unix_seconds = layer.cursor_epoch.unwrap_or(cursor_clock.epoch_unix_seconds);
    let mut origin = defaults.origin;
    origin.public_url = layer.public_url.clone();
    origin.trusted_proxies = layer.trusted_proxies.clone().unwrap_or_default();
    let http = HttpOptions {
        prefix: layer.prefix.clone().unwrap_or(defaults.prefix),
        long_poll_timeout: layer.long_poll_timeout.unwrap_or(defaults.long_poll_timeout),
        sse_reconnect_interval: layer.sse_reconnect_interval.unwrap_or(defaults.sse_reconnect_interval),
        max_body_bytes: layer.max_body_bytes.unwrap_or(defaults.max_body_bytes),
        max_chunk_bytes: layer.max_chunk_bytes.unwrap_or(defaults.max_chunk_bytes),
        max_live_readers: layer.max_live_readers.unwrap_or(defaults.max_live_readers),
        compression: layer.compression.unwrap_or(defaults.compression),
        cors: layer.cors.clone().unwrap_or(defaults.cors),
        origin,
        cursor_clock,
        metrics: layer.metrics.unwrap_or(defaults.metrics),
        test_control: layer.test_control.unwrap_or(defaults.test_control),
    };
    let webhooks = layer.webhooks.unwrap_or(match mode {
        Mode::Dev => WebhookMode::Dev,
        Mode::Serve => WebhookMode::Https,
    });
    let backend = BackendOptions {
        storage,
        durability: layer.durability.unwrap_or_default(),
        max_streams: layer.max_streams,
        webhooks,
        webhook_hosts: layer.webhook_hosts.clone().unwrap_or_default(),
        wal_shards: layer.wal_shards,
        hot_bytes_per_stream: layer.tail_cache_bytes.filter(|bytes| *bytes > 0),
    };
    ActionPlan::Streams(Box::new(StreamsPlan { block, backend, http }))
}
