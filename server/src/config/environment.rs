//! Settings from the environment.

use super::{
    ConfigError,
    layer::{Layer, SETTINGS, find},
    values::nearest,
};

/// Reads the variables `DS_<FLAG>`, and `PORT`, `HOST`, `STREAMS_DIR`.
pub(super) fn layer(
    variables: impl Iterator<Item = (String, String)>,
    warnings: &mut Vec<String>,
) -> Result<Layer, ConfigError> {
    let mut known: Vec<(String, String)> = variables.filter(|(_, value)| !value.is_empty()).collect();
    // The general names first, so that the specific ones win; the rest by name, so that
    // messages come in one order.
    known.sort_by_key(|(name, _)| (name.starts_with("DS_"), name.clone()));
    let mut layer = Layer::default();
    for (name, value) in &known {
        let setting = match name.as_str() {
            "PORT" => find("port"),
            "HOST" => find("host"),
            "STREAMS_DIR" => find("data-dir"),
            "OTEL_EXPORTER_OTLP_ENDPOINT" => {
                warnings.push(
                    "OTEL_EXPORTER_OTLP_ENDPOINT is set, but this server exports no OpenTelemetry data".to_owned(),
                );
                None
            }
            // Credentials of tiering, which is not built in.
            "DS_S3_ACCESS_KEY_ID" | "DS_S3_SECRET_ACCESS_KEY" => None,
            name if name.starts_with("DS_") => {
                let setting = SETTINGS.iter().find(|setting| setting.variable() == *name);
                if setting.is_none() {
                    let names: Vec<String> = SETTINGS.iter().map(super::layer::Setting::variable).collect();
                    let hint = nearest(name, names.iter().map(String::as_str))
                        .map(|near| format!("; did you mean {near}?"))
                        .unwrap_or_default();
                    warnings.push(format!("the environment variable {name} names no setting and is ignored{hint}"));
                }
                setting
            }
            _ => None,
        };
        if let Some(setting) = setting {
            let given_as = format!("the environment variable {name}");
            warnings.extend(setting.apply(&mut layer, &given_as, value).map_err(ConfigError::usage)?);
        }
    }
    Ok(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Result<Layer, ConfigError>, Vec<String>) {
        let mut warnings = Vec::new();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        (layer(variables, &mut warnings), warnings)
    }

    #[test]
    fn each_flag_has_a_variable_and_the_specific_one_wins() {
        let (layer, warnings) =
            read(&[("DS_PORT", "2"), ("PORT", "1"), ("HOST", "h"), ("DS_METRICS", "true"), ("HOME", "/")]);
        let layer = layer.expect("valid");
        assert_eq!((layer.port, layer.host.as_deref(), layer.metrics), (Some(2), Some("h"), Some(true)));
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn bad_values_and_unknown_names_name_the_variable() {
        let error = read(&[("PORT", "http")]).0.expect_err("no number").to_string();
        assert!(error.contains("PORT is \"http\"") && error.contains("0 to 65535"), "{error}");
        let (layer, warnings) = read(&[("DS_PROT", "1")]);
        assert_eq!(layer.expect("ignored").port, None);
        assert!(warnings[0].contains("DS_PROT") && warnings[0].contains("DS_PORT?"), "{warnings:?}");
    }
}
