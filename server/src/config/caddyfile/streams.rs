//! The `durable_streams` directive.

use super::{Directive, Parser};
use crate::config::{
    ConfigError,
    layer::{Layer, StorageKind, find, origin},
    values::duration,
};

impl Parser<'_> {
    /// `durable_streams` and its block.
    pub(super) fn streams(
        &mut self,
        directive: &Directive,
        argument_count: usize,
        prefix: Option<String>,
    ) -> Result<Layer, ConfigError> {
        if argument_count > 0 {
            return Err(self.error(directive.line, "durable_streams takes a block, no arguments"));
        }
        let mut layer = Layer { prefix: prefix.filter(|prefix| !prefix.is_empty()), ..Layer::default() };
        let mut store_line = None;
        while directive.has_block
            && let Some(sub) = self.directive()?
        {
            let line = sub.line;
            let words: Vec<&str> = sub.arguments.iter().map(|word| word.text.as_str()).collect();
            if matches!(sub.name.as_str(), "store" | "data_dir") && store_line.replace(line).is_some() {
                return Err(self.error(line, "store and data_dir say the same thing; give one of them, once"));
            }
            match (sub.name.as_str(), words.as_slice()) {
                ("store", ["memory"]) => {
                    layer.storage = Some(StorageKind::Memory);
                    self.no_block(&sub)?;
                }
                ("store", ["file"]) => {
                    layer.storage = Some(StorageKind::File);
                    self.file_store(&sub, &mut layer)?;
                }
                ("data_dir", [dir]) if !dir.is_empty() => {
                    layer.storage = Some(StorageKind::File);
                    layer.data_dir = Some((*dir).into());
                    self.no_block(&sub)?;
                }
                // Streams share one log here, so there is no handle per stream to limit.
                ("max_file_handles", [count]) if count.parse::<u32>().is_ok_and(|count| count > 0) => {
                    self.no_block(&sub)?;
                }
                ("max_file_handles", [count]) => {
                    return Err(
                        self.error(line, format!("max_file_handles is {count:?}; give a whole number above zero"))
                    );
                }
                ("webhook_callback_url", [url]) => {
                    let given = origin(url).ok_or_else(|| {
                        self.error(
                            line,
                            format!("webhook_callback_url is {url:?}; give a URL such as https://streams.example.com"),
                        )
                    })?;
                    layer.public_url = Some(given);
                    self.no_block(&sub)?;
                }
                ("prefix" | "long_poll_timeout" | "sse_reconnect_interval", [value]) => {
                    if sub.name != "prefix" && duration(value).is_none() {
                        let reason = format!("{} is {value:?}; give a duration such as 30s", sub.name);
                        return Err(self.error(line, reason));
                    }
                    let setting = find(&sub.name.replace('_', "-"));
                    if let Some(setting) = setting {
                        setting.apply(&mut layer, &sub.name, value).map_err(|reason| self.error(line, reason))?;
                    }
                    self.no_block(&sub)?;
                }
                ("store", _) => {
                    let given = words.join(" ");
                    return Err(
                        self.error(line, format!("store {given:?} is unknown; give memory, or file with a block"))
                    );
                }
                (
                    "data_dir"
                    | "prefix"
                    | "long_poll_timeout"
                    | "sse_reconnect_interval"
                    | "max_file_handles"
                    | "webhook_callback_url",
                    _,
                ) => {
                    return Err(self.error(line, format!("{} takes one value", sub.name)));
                }
                _ => {
                    let known = "prefix, store, data_dir, max_file_handles, long_poll_timeout, \
                                 sse_reconnect_interval and webhook_callback_url";
                    let reason = format!("durable_streams has no {:?}; it knows {known}", sub.name);
                    return Err(self.error(line, reason));
                }
            }
        }
        if store_line.is_none() {
            layer.storage = Some(StorageKind::Memory);
            self.warnings.push(format!(
                "{}:{}: no store is named, so streams live in memory and are gone when the server stops",
                self.file, directive.line
            ));
        }
        Ok(layer)
    }

    fn file_store(&mut self, store: &Directive, layer: &mut Layer) -> Result<(), ConfigError> {
        while store.has_block
            && let Some(sub) = self.directive()?
        {
            match (sub.name.as_str(), sub.arguments.as_slice()) {
                ("dir", [dir]) if !dir.text.is_empty() => layer.data_dir = Some(dir.text.as_str().into()),
                ("dir", _) => return Err(self.error(sub.line, "dir takes the path of one directory")),
                _ => return Err(self.error(sub.line, format!("store file has no {:?}; it knows dir", sub.name))),
            }
            self.no_block(&sub)?;
        }
        Ok(())
    }
}
