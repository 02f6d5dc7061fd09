//! What loads, and how the rest is refused.

use std::time::Duration;

use super::*;
use crate::config::layer::StorageKind;

fn read(text: &str) -> Result<Vec<CaddySite>, ConfigError> {
    parse("Caddyfile", text, |_| None, &mut Vec::new())
}

fn only_streams(text: &str) -> Layer {
    let mut sites = read(text).expect(text);
    assert_eq!(sites.len(), 1);
    streams_of(sites.remove(0).routes).expect("durable_streams")
}

fn streams_of(routes: Vec<CaddyRoute>) -> Option<Layer> {
    routes.into_iter().find_map(|route| match route.action {
        CaddyAction::Streams(layer) => Some(*layer),
        CaddyAction::Group { routes, .. } => streams_of(routes),
        CaddyAction::Respond(..) | CaddyAction::ForwardAuth { .. } | CaddyAction::Proxy(_) => None,
    })
}

#[test]
fn the_form_with_prefix_and_store() {
    let layer = only_streams(
        "{\n\torder durable_streams before reverse_proxy\n}\n:4437 {\n\tdurable_streams {\n\t\tprefix /v1/stream/\n\
         \t\tstore file {\n\t\t\tdir ./streams-data\n\t\t}\n\t\tlong_poll_timeout 20s\n\t}\n}\n",
    );
    assert_eq!(layer.prefix.as_deref(), Some("/v1/stream/"));
    assert_eq!((layer.storage, layer.data_dir), (Some(StorageKind::File), Some("./streams-data".into())));
    assert_eq!(layer.long_poll_timeout, Some(Duration::from_secs(20)));
}

#[test]
fn the_form_with_route_and_data_dir() {
    let layer = only_streams(
        "{\n admin off\n auto_https off\n}\n:4437 {\n route /v1/stream/* {\n  durable_streams {\n   data_dir ./data\n\
         max_file_handles 200\n sse_reconnect_interval 1m\n }\n }\n}",
    );
    assert_eq!(layer.prefix.as_deref(), Some("/v1/stream/"), "the matcher is the prefix");
    assert_eq!((layer.storage, layer.data_dir), (Some(StorageKind::File), Some("./data".into())));
    let given = only_streams(":1 {\n handle /a/* {\n durable_streams {\n prefix /a/b\n store memory\n }\n }\n}");
    assert_eq!(given.prefix.as_deref(), Some("/a/b/"), "a given prefix wins");
}

#[test]
fn several_sites_addresses_comments_and_variables() {
    let text = "# two sites\n:{$PORT:4437}, http://localhost:8080 {\n durable_streams { \n store memory # volatile\n }\n}\n\
                127.0.0.1:9000 {\n durable_streams {\n store \"memory\"\n }\n}\n";
    let sites = read(text).expect("two sites");
    let addresses: Vec<Vec<(&str, u16)>> = sites
        .iter()
        .map(|site| site.addresses.iter().map(|address| (address.host.as_str(), address.port)).collect())
        .collect();
    assert_eq!(addresses, [vec![("", 4437), ("localhost", 8080)], vec![("127.0.0.1", 9000)]]);
}

#[test]
fn guards_run_before_streams_in_caddys_order() {
    let text = ":4437 {\n durable_streams {\n store memory\n }\n reverse_proxy localhost:3000\n\
                @anonymous {\n not header Authorization \"Bearer secret\"\n }\n respond @anonymous 401\n\
                forward_auth localhost:9091 {\n uri /verify\n copy_headers X-User X-Groups\n }\n}";
    let site = read(text).expect("loads").remove(0);
    let kinds: Vec<&str> = site
        .routes
        .iter()
        .map(|route| match &route.action {
            CaddyAction::ForwardAuth { copy_headers, .. } if copy_headers.len() == 2 => "auth",
            CaddyAction::Respond(StatusCode::UNAUTHORIZED, _) if route.matcher.is_some() => "respond",
            CaddyAction::Streams(_) => "streams",
            CaddyAction::Proxy(_) => "proxy",
            CaddyAction::ForwardAuth { .. } | CaddyAction::Respond(..) | CaddyAction::Group { .. } => "something else",
        })
        .collect();
    assert_eq!(kinds, ["auth", "respond", "streams", "proxy"]);
}

#[test]
fn a_guard_that_guards_nothing_is_warned_about() {
    let mut warnings = Vec::new();
    let text = ":1 {\n @x not header A b\n respond @x 401\n route /v1/stream/* {\n durable_streams {\n store memory\n }\n }\n}";
    parse("Caddyfile", text, |_| None, &mut warnings).expect("loads");
    assert!(
        warnings.iter().any(|warning| warning.starts_with("Caddyfile:3: respond runs after route")),
        "{warnings:?}"
    );
    warnings.clear();
    parse("Caddyfile", ":1 {\n durable_streams\n}", |_| None, &mut warnings).expect("loads");
    assert!(warnings.iter().any(|warning| warning.contains("Caddyfile:2: no store is named")), "{warnings:?}");
}

#[test]
fn named_matchers_are_known_in_inner_blocks() {
    let text = ":1 {\n route {\n respond @x 401\n durable_streams {\n store memory\n }\n }\n @x {\n method POST PUT\n path /a/*\n }\n}";
    let site = read(text).expect("loads").remove(0);
    let CaddyAction::Group { is_final: false, routes } = &site.routes[0].action else { panic!("{site:?}") };
    assert!(matches!(&routes[0].matcher, Some(Matcher::All(all)) if all.len() == 2));
}

#[test]
fn everything_else_is_refused_by_name_with_file_and_line() {
    for (text, line, parts) in [
        (":1 {\n encode gzip\n}", 2, &["\"encode\"", "in front"][..]),
        ("{\n email a@b.c\n}\n:1 {\n durable_streams\n}", 2, &["\"email\""]),
        ("{\n admin localhost:2019\n}\n:1 {\n}", 2, &["admin localhost:2019", "admin off"]),
        ("{\n order other first\n}\n:1 {\n}", 2, &["order other first"]),
        ("import common\n", 1, &["\"import\""]),
        ("(snippet) {\n respond 200\n}\n", 1, &["(snippet)"]),
        (":1 {\n durable_streams {\n stor memory\n }\n}", 3, &["\"stor\"", "store"]),
        (":1 {\n durable_streams {\n store redis\n }\n}", 3, &["\"redis\"", "memory"]),
        (":1 {\n durable_streams {\n store memory\n data_dir ./x\n }\n}", 4, &["store and data_dir"]),
        (":1 {\n durable_streams {\n store file {\n path x\n }\n }\n}", 4, &["\"path\"", "dir"]),
        (
            ":1 {\n durable_streams {\n store memory\n long_poll_timeout 30\n }\n}",
            4,
            &["long_poll_timeout", "\"30\"", "30s"],
        ),
        (":1 {\n durable_streams {\n max_file_handles many\n }\n}", 3, &["\"many\""]),
        (":1 {\n durable_streams {\n prefix streams\n }\n}", 3, &["prefix", "\"streams\""]),
        (":1 {\n durable_streams {\n webhook_callback_url x\n }\n}", 3, &["webhook_callback_url", "\"x\""]),
        (":1 {\n tls internal\n}", 2, &["tls", "automatic certificates"]),
        (":1 {\n respond @nobody 401\n}", 2, &["@nobody"]),
        (":1 {\n @x remote_ip 10.0.0.0/8\n}", 2, &["\"remote_ip\""]),
        (":1 {\n reverse_proxy https://x\n}", 2, &["https://x"]),
        (":1 {\n reverse_proxy a:1 b:2\n}", 2, &["one upstream"]),
        (":1 {\n forward_auth a:1 {\n method POST\n }\n}", 3, &["\"method\""]),
        ("example.com {\n durable_streams\n}", 1, &["example.com", "automatic certificates"]),
        ("https://a:1 {\n durable_streams\n}", 1, &["tls <cert> <key>"]),
        (":99999 {\n durable_streams\n}", 1, &[":99999", "65535"]),
        ("a/b:1 {\n durable_streams\n}", 1, &["path"]),
        ("*.example.com:1 {\n durable_streams\n}", 1, &["wildcard"]),
        (":1 {\n durable_streams {\n store memory\n}", 1, &["never closed"]),
        ("", 1, &["no site"]),
        ("}", 1, &["closes nothing"]),
    ] {
        let error = read(text).expect_err(text).to_string();
        assert!(error.starts_with(&format!("Caddyfile:{line}: ")), "{text:?}: {error}");
        assert!(parts.iter().all(|part| error.contains(part)), "{text:?}: {error}");
    }
}
