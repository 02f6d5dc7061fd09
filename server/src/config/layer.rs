//! Settings by name: one table serves flags, environment and TOML.

use std::{path::PathBuf, time::Duration};

use http::{HeaderValue, uri::Uri};

use super::values;
use crate::{
    http::{CorsPolicy, Network},
    server::{Durability, WebhookMode},
};

macro_rules! layer {
    ($($field:ident: $type:ty,)*) => {
        /// Settings that one source gives; what it leaves out is `None`.
        #[derive(Debug, Clone, Default)]
        pub(super) struct Layer {
            $(pub(super) $field: Option<$type>,)*
        }

        impl Layer {
            /// These settings, where `upper` gives none.
            pub(super) fn under(self, upper: &Self) -> Self {
                Self { $($field: upper.$field.clone().or(self.$field),)* }
            }
        }
    };
}

layer! {
    host: String,
    port: u16,
    storage: StorageKind,
    data_dir: PathBuf,
    durability: Durability,
    prefix: String,
    public_url: String,
    trusted_proxies: Vec<Network>,
    cors: CorsPolicy,
    webhooks: WebhookMode,
    webhook_hosts: Vec<String>,
    long_poll_timeout: Duration,
    sse_reconnect_interval: Duration,
    cursor_interval: u64,
    cursor_epoch: u64,
    max_body_bytes: u64,
    max_chunk_bytes: usize,
    max_streams: usize,
    max_connections: usize,
    max_live_readers: usize,
    compression: bool,
    metrics: bool,
    test_control: bool,
    tls_cert: PathBuf,
    tls_key: PathBuf,
    log_format: LogFormat,
    worker_threads: usize,
    wal_shards: u32,
    tail_cache_bytes: usize,
}

/// Where streams live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StorageKind {
    File,
    Memory,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// One setting.
pub(super) struct Setting {
    /// Name as a flag, without dashes in front; environment and TOML derive theirs.
    pub(super) name: &'static str,
    /// What its value stands for, in help.
    pub(super) value: &'static str,
    /// One line of help.
    pub(super) help: &'static str,
    /// Whether a flag without a value means `true`.
    pub(super) is_switch: bool,
    /// What becomes of it.
    pub(super) effect: Effect,
}

/// What becomes of a setting.
pub(super) enum Effect {
    /// Stores the value, or says what it should have been.
    Set(fn(&mut Layer, &str) -> Result<(), String>),
    /// Accepted for the sake of another server's command lines; has nothing to act on.
    Ignored,
}

impl Setting {
    /// The environment variable of this setting.
    pub(super) fn variable(&self) -> String {
        format!("DS_{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// The TOML key of this setting.
    pub(super) fn key(&self) -> String {
        self.name.replace('-', "_")
    }

    /// Stores a value. `given_as` is how the source calls the setting, such as `--port`.
    pub(super) fn apply(&self, layer: &mut Layer, given_as: &str, value: &str) -> Result<Option<String>, String> {
        match self.effect {
            Effect::Set(set) => {
                set(layer, value).map(|()| None).map_err(|wanted| format!("{given_as} is {value:?}; give {wanted}"))
            }
            Effect::Ignored => Ok(Some(format!("{given_as} has no effect in this server and is ignored"))),
        }
    }
}

/// A setting by its flag name.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

const fn setting(
    name: &'static str,
    value: &'static str,
    help: &'static str,
    set: fn(&mut Layer, &str) -> Result<(), String>,
) -> Setting {
    Setting { name, value, help, is_switch: false, effect: Effect::Set(set) }
}

const fn switch(name: &'static str, help: &'static str, set: fn(&mut Layer, &str) -> Result<(), String>) -> Setting {
    Setting { name, value: "bool", help, is_switch: true, effect: Effect::Set(set) }
}

const fn ignored(name: &'static str, is_switch: bool) -> Setting {
    Setting { name, value: "value", help: "Accepted, without effect", is_switch, effect: Effect::Ignored }
}

/// All settings, in the order of help.
pub(super) const SETTINGS: &[Setting] = &[
    setting("host", "name", "Name or address to listen on [0.0.0.0; dev: localhost]", |layer, text| {
        store(&mut layer.host, (!text.is_empty()).then(|| text.to_owned()), "a host name or an IP address")
    }),
    setting("port", "number", "Port to listen on, 0 = a free one, printed on standard output [4437]", |layer, text| {
        store(&mut layer.port, text.parse().ok(), "a number from 0 to 65535")
    }),
    setting("storage", "file|memory", "Where streams live [file; dev: memory]", |layer, text| {
        let kind = match text {
            "file" => Some(StorageKind::File),
            "memory" => Some(StorageKind::Memory),
            _ => None,
        };
        store(&mut layer.storage, kind, "file or memory")
    }),
    setting("data-dir", "path", "Directory of the file store [$STREAMS_DIR, else ./streams-data]", |layer, text| {
        store(&mut layer.data_dir, path(text), "the path of a directory")
    }),
    setting("durability", "wal|memory", "Acknowledge after the disk has it, or before [wal]", |layer, text| {
        let durability = match text {
            "wal" => Some(Durability::Wal),
            "memory" => Some(Durability::Memory),
            _ => None,
        };
        store(&mut layer.durability, durability, "wal or memory")
    }),
    setting("prefix", "path", "Path prefix of streams, / = any path is a stream [/v1/stream/]", |layer, text| {
        let prefix = text.starts_with('/').then(|| crate::server::normalised_prefix(text));
        store(&mut layer.prefix, prefix, "a path that starts with a slash")
    }),
    setting("public-url", "url", "Origin under which clients see this server [the request's host]", |layer, text| {
        store(&mut layer.public_url, origin(text), "a URL such as https://streams.example.com")
    }),
    setting(
        "trusted-proxies",
        "networks",
        "Networks whose X-Forwarded headers count, by comma [none]",
        |layer, text| {
            let networks = list(text).map(|item| Network::parse(&item)).collect();
            store(&mut layer.trusted_proxies, networks, "addresses or ranges such as 10.0.0.0/8, separated by commas")
        },
    ),
    setting("cors-origin", "origins", "Web origins that may read answers, by comma, * = all [*]", |layer, text| {
        store(&mut layer.cors, cors(text), "* or origins such as https://app.example.com, separated by commas")
    }),
    setting(
        "webhooks",
        "off|https|dev",
        "Where webhooks may go; dev adds http to loopback [https; dev: dev]",
        |layer, text| {
            let mode = match text {
                "off" => Some(WebhookMode::Off),
                "https" => Some(WebhookMode::Https),
                "dev" => Some(WebhookMode::Dev),
                _ => None,
            };
            store(&mut layer.webhooks, mode, "off, https or dev")
        },
    ),
    setting(
        "webhook-hosts",
        "hosts",
        "Only hosts webhooks may go to, by comma, *.example.com = all below [any]",
        |layer, text| store(&mut layer.webhook_hosts, Some(list(text).collect()), "host names separated by commas"),
    ),
    setting("long-poll-timeout", "duration", "How long a long-poll waits [30s]", |layer, text| {
        store(&mut layer.long_poll_timeout, values::duration(text), "a duration such as 30s or 1m30s")
    }),
    setting("long-poll-timeout-ms", "ms", "The same in milliseconds", |layer, text| {
        let wait = text.parse().ok().map(Duration::from_millis);
        store(&mut layer.long_poll_timeout, wait, "a number of milliseconds")
    }),
    setting("sse-reconnect-interval", "duration", "About how long an SSE response lasts [60s]", |layer, text| {
        let life = values::duration(text).filter(|life| !life.is_zero());
        store(&mut layer.sse_reconnect_interval, life, "a duration above zero such as 60s")
    }),
    setting("cursor-interval", "duration", "Length of a cursor interval, whole seconds [20s]", |layer, text| {
        let seconds = values::duration(text).filter(|length| length.subsec_nanos() == 0).map(|length| length.as_secs());
        store(&mut layer.cursor_interval, seconds.filter(|seconds| *seconds > 0), "whole seconds such as 20s")
    }),
    setting("cursor-epoch", "time", "When cursor interval 0 began [2024-10-09T00:00:00Z]", |layer, text| {
        let epoch = text.parse::<jiff::Timestamp>().ok().and_then(|time| u64::try_from(time.as_second()).ok());
        store(&mut layer.cursor_epoch, epoch, "an RFC 3339 time after 1970")
    }),
    setting("max-body-bytes", "size", "Largest request body [16MiB]", |layer, text| {
        store(&mut layer.max_body_bytes, values::bytes(text).filter(|size| *size > 0), SIZE)
    }),
    setting("max-chunk-bytes", "size", "Most stream bytes per read answer, at least 64KiB [4MiB]", |layer, text| {
        let size = values::bytes(text).and_then(|size| usize::try_from(size).ok()).filter(|size| *size >= 65_536);
        store(&mut layer.max_chunk_bytes, size, "at least 64KiB, such as 4MiB")
    }),
    setting("max-streams", "number", "Most streams, more are refused with 503 [no limit]", |layer, text| {
        store(&mut layer.max_streams, positive(text), NUMBER)
    }),
    setting("max-connections", "number", "Most connections, more are refused with 503 [100000]", |layer, text| {
        store(&mut layer.max_connections, positive(text), NUMBER)
    }),
    setting(
        "max-live-readers",
        "number",
        "Most long-polls and SSE responses, more are refused with 503 [100000]",
        |layer, text| store(&mut layer.max_live_readers, positive(text), NUMBER),
    ),
    switch("compression", "Compress long read answers for clients that ask [true]", |layer, text| {
        store(&mut layer.compression, values::switch(text), SWITCH)
    }),
    switch("metrics", "Answer /metrics [false]", |layer, text| store(&mut layer.metrics, values::switch(text), SWITCH)),
    switch("test-control", "Answer /_test/inject-error; for tests of clients only [false]", |layer, text| {
        store(&mut layer.test_control, values::switch(text), SWITCH)
    }),
    setting("tls-cert", "file", "Certificate chain, PEM; with --tls-key", |layer, text| {
        store(&mut layer.tls_cert, path(text), "the path of a PEM file")
    }),
    setting("tls-key", "file", "Private key, PEM; with --tls-cert", |layer, text| {
        store(&mut layer.tls_key, path(text), "the path of a PEM file")
    }),
    setting("log-format", "text|json", "How the log on standard error looks [text]", |layer, text| {
        let format = match text {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        };
        store(&mut layer.log_format, format, "text or json")
    }),
    setting("worker-threads", "number", "Threads that serve requests [one per processor]", |layer, text| {
        store(&mut layer.worker_threads, positive(text), NUMBER)
    }),
    setting(
        "wal-shards",
        "number",
        "Kept with the data: another number on the same data is an error",
        |layer, text| {
            let shards = text.parse().ok().filter(|shards| *shards > 0);
            store(&mut layer.wal_shards, shards, NUMBER)
        },
    ),
    setting("wal-segment-bytes", "size", "Hint, without effect", |_, text| check(values::bytes(text), SIZE)),
    setting("tail-cache-bytes", "size", "Hint: newest bytes kept in memory per stream [2MiB]", |layer, text| {
        let size = values::bytes(text).and_then(|size| usize::try_from(size).ok());
        store(&mut layer.tail_cache_bytes, size, SIZE)
    }),
    setting("read-offload", "inline|tail|always", "Hint, without effect", |_, text| {
        check(["inline", "tail", "always"].contains(&text).then_some(()), "inline, tail or always")
    }),
    setting("tier", "off", "Tiering to object storage is not built in", |_, text| match text {
        "off" => Ok(()),
        _ => Err("off: tiering to object storage is not built into this server".to_owned()),
    }),
    tiered("tier-endpoint", false),
    tiered("tier-region", false),
    tiered("tier-bucket", false),
    tiered("tier-key-prefix", false),
    tiered("tier-segment-bytes", false),
    tiered("tier-compact-bytes", false),
    tiered("tier-path-style", true),
    tiered("tier-virtual-hosted", true),
    tiered("tier-allow-http", true),
    ignored("stream-lanes", false),
    ignored("wal-stats", true),
    ignored("server-stats", true),
    ignored("wal-checkpoint-interval-ms", false),
    ignored("wal-checkpoint-wal-bytes", false),
];

const SIZE: &str = "a number of bytes such as 1048576 or 16MiB";
const NUMBER: &str = "a whole number above zero";
const SWITCH: &str = "true or false";

const fn tiered(name: &'static str, is_switch: bool) -> Setting {
    let set = |_: &mut Layer, _: &str| {
        Err("no such setting: tiering to object storage is not built into this server".to_owned())
    };
    Setting { name, value: "value", help: "Not built in", is_switch, effect: Effect::Set(set) }
}

fn store<T>(slot: &mut Option<T>, value: Option<T>, wanted: &str) -> Result<(), String> {
    *slot = Some(value.ok_or(wanted)?);
    Ok(())
}

fn check<T>(value: Option<T>, wanted: &str) -> Result<(), String> {
    value.map(|_| ()).ok_or_else(|| wanted.to_owned())
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| text.into())
}

fn positive(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number| *number > 0)
}

fn list(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned)
}

/// An http or https URL without path, query and user; no slash at its end.
pub(super) fn origin(text: &str) -> Option<String> {
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
    let is_bare = uri.path_and_query().is_none_or(|rest| rest.as_str() == "/");
    let scheme = uri.scheme_str().filter(|scheme| is_bare && matches!(*scheme, "http" | "https"))?;
    Some(format!("{scheme}://{authority}"))
}

fn cors(text: &str) -> Option<CorsPolicy> {
    if text == "*" {
        return Some(CorsPolicy::Any);
    }
    let origins: Vec<HeaderValue> =
        list(text).map(|item| HeaderValue::from_str(&origin(&item)?).ok()).collect::<Option<_>>()?;
    (!origins.is_empty()).then_some(CorsPolicy::Only(origins))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(name: &str, value: &str) -> Result<Layer, String> {
        let mut layer = Layer::default();
        find(name).expect(name).apply(&mut layer, &format!("--{name}"), value).map(|_| layer)
    }

    #[test]
    fn bad_values_name_the_setting_the_value_and_what_would_do() {
        for (name, value, wanted) in [
            ("port", "70000", "a number from 0 to 65535"),
            ("storage", "s3", "file or memory"),
            ("long-poll-timeout", "30", "a duration"),
            ("max-body-bytes", "lots", "16MiB"),
            ("prefix", "streams", "starts with a slash"),
            ("trusted-proxies", "10.0.0.0/99", "10.0.0.0/8"),
            ("webhooks", "yes", "off, https or dev"),
            ("public-url", "example.com", "https://streams.example.com"),
            ("tier", "s3", "not built into"),
            ("tier-bucket", "b", "not built into"),
        ] {
            let error = apply(name, value).expect_err(name);
            assert!(error.contains(&format!("--{name} is {value:?}")) && error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn values_are_stored() {
        assert_eq!(apply("prefix", "/streams").expect("valid").prefix.as_deref(), Some("/streams/"));
        let wait = apply("long-poll-timeout-ms", "750").expect("valid").long_poll_timeout;
        assert_eq!(wait, Some(Duration::from_millis(750)));
        assert_eq!(
            apply("public-url", "https://a.example/").expect("valid").public_url.as_deref(),
            Some("https://a.example")
        );
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SETTINGS.len());
    }
}
