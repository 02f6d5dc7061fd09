//! Which crate may depend on which.

use serde_json::Value;

use crate::{
    cargo::cargo,
    process::{Outcome, capture},
};

/// What the protocol rules may use: parsing, formatting and bytes. No runtime, no HTTP
/// client, no clock, no random source.
const PROTOCOL_MAY_USE: [&str; 10] =
    ["base64", "bytes", "http", "httpdate", "jiff", "memchr", "serde", "serde_json", "simdutf8", "thiserror"];

/// Finds dependencies of core/protocol outside its allow-list.
pub(super) fn of_protocol() -> Outcome<Vec<String>> {
    let mut dependencies = dependencies("durable-streams-protocol", |kind| kind.is_null())?;
    dependencies.retain(|name| !PROTOCOL_MAY_USE.contains(&name.as_str()));
    Ok(dependencies.into_iter().map(|name| format!("core/protocol/Cargo.toml: {name}")).collect())
}

/// Finds dependencies of the server on the client. Both sides of the wire share rules and
/// no machinery, so that neither hides the other's mistake; its tests may use both.
pub(super) fn of_server() -> Outcome<Vec<String>> {
    let mut dependencies = dependencies("durable-streams-serve", |kind| kind != "dev")?;
    dependencies.retain(|name| name == "durable-streams-client");
    Ok(dependencies.into_iter().map(|name| format!("server/Cargo.toml: {name}")).collect())
}

fn dependencies(package: &str, of_kind: fn(&Value) -> bool) -> Outcome<Vec<String>> {
    let text = capture(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let found = packages.into_iter().find(|entry| entry["name"] == package);
    let found = found.ok_or_else(|| format!("the workspace has no package {package}"))?;
    let dependencies = found["dependencies"].as_array().into_iter().flatten();
    let names = dependencies.filter(|entry| of_kind(&entry["kind"])).filter_map(|entry| entry["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}
