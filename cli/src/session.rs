//! The settings of one run and the client made from them.

use std::env;

use durable_streams::{
    Client, DurableStream,
    http::{HeaderValue, header::AUTHORIZATION},
};

use crate::{
    args::Global,
    auth,
    failure::Failure,
    report::{Report, warn},
    target::{DEFAULT_URL, Setting, Target, base_url, target},
};

/// One run: base URL, client and the form of results.
pub struct Session {
    base: String,
    client: Client,
    /// Prints results.
    pub report: Report,
}

impl Session {
    /// Reads options and environment. Flag beats variable beats default.
    pub fn new(global: &Global) -> Result<Self, Failure> {
        let url = setting("--url", global.url.as_ref(), "STREAM_URL")
            .unwrap_or_else(|| Setting { source: "the default URL", value: DEFAULT_URL.to_owned() });
        let prefix = setting("--prefix", global.prefix.as_ref(), "STREAM_PREFIX");
        let base = base_url(&url, prefix.as_ref()).map_err(Failure::Usage)?;
        Ok(Self { base, client: client(global)?, report: Report::new(global.output) })
    }

    /// Resolves a stream id.
    pub fn target(&self, id: &str) -> Result<Target, Failure> {
        target(&self.base, id).map_err(Failure::Usage)
    }

    /// The handle of a stream.
    pub fn stream(&self, target: &Target) -> DurableStream {
        self.client.stream(&target.url)
    }
}

fn client(global: &Global) -> Result<Client, Failure> {
    let builder = Client::builder();
    let builder = if let Some(path) = global.auth_file.clone() {
        // Checked now for a clear message; read again per request, so that a renewed token counts.
        note_incomplete(&auth::from_file(&path).map_err(Failure::Usage)?);
        builder.header_provider_async(move || {
            let value = auth::from_file(&path);
            async move {
                let value: HeaderValue = value?.parse()?;
                Ok([(AUTHORIZATION, value)].into_iter().collect())
            }
        })
    } else if let Some(Setting { source, value }) = setting("--auth", global.auth.as_ref(), "STREAM_AUTH") {
        let value = auth::checked(source, &value).map_err(Failure::Usage)?;
        note_incomplete(&value);
        builder.header("Authorization", &value)
    } else {
        builder
    };
    builder.build().map_err(|error| Failure::Local(format!("cannot set up the HTTP client: {error}")))
}

fn note_incomplete(value: &str) {
    if auth::looks_incomplete(value) {
        warn("the Authorization value has no scheme; most servers want \"Bearer <token>\". It is sent as it is");
    }
}

/// An empty variable counts as unset; an empty flag does not.
fn setting(flag: &'static str, given: Option<&String>, variable: &'static str) -> Option<Setting> {
    match given {
        Some(value) => Some(Setting { source: flag, value: value.clone() }),
        None => {
            env::var(variable).ok().filter(|value| !value.is_empty()).map(|value| Setting { source: variable, value })
        }
    }
}
