//! TOML configuration: the settings by name, `_` for `-`.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    ConfigError,
    layer::{Layer, SETTINGS, find},
    values::nearest,
};

/// Reads a TOML file's text. `file` is its name for messages.
pub(super) fn parse(file: &str, text: &str, warnings: &mut Vec<String>) -> Result<Layer, ConfigError> {
    let line_of = |at: usize| text.get(..at).unwrap_or(text).matches('\n').count() + 1;
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        ConfigError::at(file, line, error.message())
    })?;
    let mut layer = Layer::default();
    for (key, value) in table.get_ref() {
        let line = line_of(key.span().start);
        let name = key.get_ref().replace('_', "-");
        let Some(setting) = find(&name) else {
            return Err(ConfigError::at(file, line, unknown(key.get_ref())));
        };
        let given_as = format!("the key {}", key.get_ref());
        let value = text_of(value).ok_or_else(|| {
            ConfigError::at(
                file,
                line,
                format!("{given_as} holds a table or date; give a plain value or a list of texts"),
            )
        })?;
        let warning =
            setting.apply(&mut layer, &given_as, &value).map_err(|reason| ConfigError::at(file, line, reason))?;
        warnings.extend(warning.map(|warning| format!("{file}:{line}: {warning}")));
    }
    Ok(layer)
}

fn unknown(key: &str) -> String {
    let keys: Vec<String> = SETTINGS.iter().map(super::layer::Setting::key).collect();
    match nearest(key, keys.iter().map(String::as_str)) {
        Some(near) => format!("unknown key {key:?}; did you mean {near}?"),
        None => format!("unknown key {key:?}; remove it, or use one of {}", keys.join(", ")),
    }
}

/// A value as the flag of the same name would be given.
fn text_of(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Array(items) => items.iter().map(text_of).collect::<Option<Vec<_>>>().map(|items| items.join(",")),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Layer, ConfigError> {
        parse("streams.toml", text, &mut Vec::new())
    }

    #[test]
    fn keys_are_the_flags_with_underscores() {
        let text =
            "port = 8080\nlong_poll_timeout = \"20s\"\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\nmetrics = true\n";
        let layer = read(text).expect("valid");
        assert_eq!((layer.port, layer.metrics), (Some(8080), Some(true)));
        assert_eq!(layer.trusted_proxies.map(|networks| networks.len()), Some(2));
        let mut warnings = Vec::new();
        parse("streams.toml", "stream_lanes = 4", &mut warnings).expect("accepted");
        assert!(warnings[0].contains("stream_lanes") && warnings[0].contains("ignored"), "{warnings:?}");
    }

    #[test]
    fn problems_name_file_line_key_and_fix() {
        for (text, parts) in [
            ("host = \"a\"\n\nprot = 1\n", &["streams.toml:3:", "\"prot\"", "did you mean port"][..]),
            ("zebra = 1\n", &["streams.toml:1:", "\"zebra\"", "one of host, port"]),
            ("port = \"many\"\n", &["streams.toml:1:", "the key port", "\"many\"", "0 to 65535"]),
            ("port = -1\n", &["streams.toml:1:", "\"-1\""]),
            ("[host]\nx = 1\n", &["streams.toml:1:", "host", "plain value"]),
            ("port = \n", &["streams.toml:1:"]),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
