//! What the runner asks the server itself, past the wire: the other party in a test.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::world::{StepError, World};
use crate::{
    case::Operation,
    yaml::{self, Node},
};

impl World<'_> {
    /// Performs an operation that the runner itself does, past the wire.
    pub(super) async fn server(&self, operation: &Operation) -> Result<Value, StepError> {
        let path = self.text(operation, "path")?.unwrap_or_default();
        let data = self.text(operation, "data")?.unwrap_or_default();
        let mut headers = header_map(operation)?;
        match operation.action.name {
            "server-append" => {
                headers.insert("content-type", self.content_type(&path, None).await?);
                for (field, name) in [
                    ("producerId", "producer-id"),
                    ("producerEpoch", "producer-epoch"),
                    ("producerSeq", "producer-seq"),
                ] {
                    let value = match operation.get(field).map(|node| &node.value) {
                        Some(yaml::Value::Text(text)) => text.clone(),
                        Some(yaml::Value::Int(number)) => number.to_string(),
                        _ => continue,
                    };
                    let value = HeaderValue::from_str(&value).map_err(|_| format!("{field} is no header value"))?;
                    headers.insert(name, value);
                }
                let reply = self.wire.ask("POST", &path, headers, data.into()).await?;
                let mut result = json!({"type": "append", "success": true, "status": reply.status,
                    "duplicate": reply.status == 204});
                let fields = [
                    ("offset", "stream-next-offset"),
                    ("producerEpoch", "producer-epoch"),
                    ("producerSeq", "producer-seq"),
                    ("producerExpectedSeq", "producer-expected-seq"),
                    ("producerReceivedSeq", "producer-received-seq"),
                ];
                for (key, name) in fields {
                    let Some(text) = reply.headers.get(name).and_then(|value| value.to_str().ok()) else { continue };
                    let number = text.parse::<u64>().ok().filter(|_| key != "offset");
                    result[key] = number.map_or_else(|| text.into(), Value::from);
                }
                Ok(result)
            }
            "server-close" => {
                headers.insert("stream-closed", HeaderValue::from_static("true"));
                if !data.is_empty() {
                    let content_type = self.content_type(&path, operation.text("contentType")).await?;
                    headers.insert("content-type", content_type);
                }
                let reply = self.wire.ask("POST", &path, headers, data.into()).await?;
                if reply.status >= 400 {
                    return Err(StepError::Wrong(format!("the server refused to close: status {}", reply.status)));
                }
                let tail = reply.headers.get("stream-next-offset").and_then(|value| value.to_str().ok());
                Ok(json!({"type": "close", "success": true, "finalOffset": tail.unwrap_or_default()}))
            }
            "server-delete" => {
                let reply = self.wire.ask("DELETE", &path, headers, Bytes::new()).await?;
                Ok(json!({"type": "delete", "success": true, "status": reply.status}))
            }
            "server-read" => {
                let offset = self.text(operation, "offset")?.unwrap_or_else(|| "-1".to_owned());
                let reply = self.wire.ask("GET", &format!("{path}?offset={offset}"), headers, Bytes::new()).await?;
                let offset = reply.headers.get("stream-next-offset").and_then(|value| value.to_str().ok());
                let chunk = match std::str::from_utf8(&reply.body) {
                    Ok(text) => json!({"data": text}),
                    Err(_) => json!({"data": STANDARD.encode(&reply.body), "binary": true}),
                };
                let chunks = if reply.body.is_empty() { json!([]) } else { json!([chunk]) };
                let is_closed = reply.headers.contains_key("stream-closed");
                let mut result = json!({"type": "read", "success": true, "status": reply.status, "chunks": chunks,
                    "offset": offset.unwrap_or_default(), "streamClosed": is_closed});
                if let Some(etag) = reply.headers.get("etag").and_then(|value| value.to_str().ok()) {
                    result["etag"] = etag.into();
                }
                Ok(result)
            }
            other => Err(StepError::Wrong(format!("the runner cannot do `{other}`"))),
        }
    }

    async fn content_type(&self, path: &str, stated: Option<&str>) -> Result<HeaderValue, String> {
        if let Some(stated) = stated {
            return HeaderValue::from_str(stated).map_err(|_| format!("{stated:?} is no header value"));
        }
        let head = self.wire.ask("HEAD", path, HeaderMap::new(), Bytes::new()).await?;
        let found = head.headers.get("content-type").filter(|_| head.status == 200).cloned();
        Ok(found.unwrap_or_else(|| HeaderValue::from_static("application/octet-stream")))
    }
}

fn header_map(operation: &Operation) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    let Some(Node { value: yaml::Value::Map(entries), .. }) = operation.get("headers") else { return Ok(map) };
    for (name, value) in entries {
        let yaml::Value::Text(text) = &value.value else { continue };
        let name: HeaderName = name.parse().map_err(|_| format!("{name:?} is not a header name"))?;
        let text = HeaderValue::from_str(text).map_err(|_| format!("{text:?} is not a header value"))?;
        map.insert(name, text);
    }
    Ok(map)
}
