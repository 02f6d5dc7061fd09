//! Every break, one per rule.

use http::{HeaderValue, Method};
use serde_json::{Value, json};

use super::{
    Act, Break,
    edit::{add, events, header, is_producers, query, status},
};

const fn command(rule: &'static str, what: &'static str, act: fn(&mut Value)) -> Break {
    Break { rule, what, act: Act::Command(act) }
}

const fn request(
    rule: &'static str,
    what: &'static str,
    act: fn(&mut http::request::Parts, &mut bytes::Bytes),
) -> Break {
    Break { rule, what, act: Act::Request(act) }
}

const fn reply(
    rule: &'static str,
    what: &'static str,
    act: fn(&http::request::Parts, &mut http::response::Parts, &mut crate::wire::body::Flow),
) -> Break {
    Break { rule, what, act: Act::Reply(act) }
}

const fn result(rule: &'static str, what: &'static str, act: fn(&mut Value)) -> Break {
    Break { rule, what, act: Act::Result(act) }
}

/// Every break.
pub static BREAKS: &[Break] = &[
    request("C1", "takes offsets for numbers and drops their leading zeros", |parts, _| {
        query(parts, |pairs| {
            for pair in pairs {
                if let Some(offset) = pair.strip_prefix("offset=") {
                    *pair = format!("offset={}", offset.trim_start_matches('0').to_lowercase());
                }
            }
        });
    }),
    request("C2", "starts at offset 0", |parts, _| {
        query(parts, |pairs| {
            pairs.iter_mut().filter(|pair| *pair == "offset=-1").for_each(|pair| *pair = "offset=0".to_owned())
        });
    }),
    reply("C3", "takes the first answer for everything", |asked, head, _| {
        if asked.method == Method::GET && head.status == 200 {
            head.headers.insert("stream-up-to-date", HeaderValue::from_static("true"));
        }
    }),
    reply("C4", "does not see the end of a stream", |asked, head, flow| {
        if asked.method == Method::GET {
            head.headers.remove("stream-closed");
            events(head, flow, |text| text.replace("\"streamClosed\"", "\"streamClosedNot\""));
        }
    }),
    reply("C5", "takes up-to-date and 204 for the end", |asked, head, flow| {
        if asked.method == Method::GET && head.headers.contains_key("stream-up-to-date") {
            head.headers.insert("stream-closed", HeaderValue::from_static("true"));
        }
        events(head, flow, |text| text.replace("\"upToDate\":true", "\"streamClosed\":true"));
    }),
    request("C6", "does not echo cursors", |parts, _| {
        query(parts, |pairs| pairs.retain(|pair| !pair.starts_with("cursor=")));
    }),
    reply("C7", "learns nothing from a 204", |asked, head, _| {
        if asked.method == Method::GET && head.status == 204 {
            head.headers.clear();
        }
    }),
    request("C8", "sends parameters in another order", |parts, _| query(parts, |pairs| pairs.reverse())),
    reply("C9", "splits lines at Unicode line ends", |_, head, flow| {
        events(head, flow, |text| text.replace(['\u{85}', '\u{2028}', '\u{2029}', '\u{b}', '\u{c}'], "\ndata:"));
    }),
    reply("C10", "strips all leading spaces", |_, head, flow| {
        events(head, flow, |text| text.replace("data:   ", "data:").replace("data:  ", "data:"));
    }),
    reply("C11", "takes any event for data", |_, head, flow| {
        events(head, flow, |text| text.replace("event: future", "event: data"));
    }),
    reply("C12", "passes over control events it cannot parse", |_, head, flow| {
        events(head, flow, |text| {
            let mut text = text;
            for bad in ["{oops", "\n\n", "[\"c\"]", "{\"upToDate\":true}", "{\"streamNextOffset\":7}", "nope"] {
                text = text.replace(&format!("event: control\ndata:{bad}"), &format!("event: unknown\ndata:{bad}"));
            }
            text
        });
    }),
    reply("C13", "never decodes base64", |_, head, _| {
        head.headers.remove("stream-sse-data-encoding");
    }),
    reply("C14", "hands data out before it is confirmed", |_, head, flow| {
        events(head, flow, |text| {
            if text.contains("event: data") && !text.contains("event: control") && text.ends_with("\n\n") {
                text + "event: control\ndata:{\"streamNextOffset\":\"~\"}\n\n"
            } else {
                text
            }
        });
    }),
    reply("C15", "does not reconnect", |_, head, flow| {
        events(head, flow, |text| text.replace("\"upToDate\":true}", "\"upToDate\":true,\"streamClosed\":true}"));
    }),
    reply("C16", "takes a body it cannot parse for an empty one", |_, head, flow| {
        let is_json =
            head.headers.get("content-type").is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
        if is_json {
            flow.change(Box::new(|piece| {
                let is_good = serde_json::from_slice::<Value>(&piece).is_ok();
                if is_good { piece } else { bytes::Bytes::from_static(b"[]") }
            }));
        }
    }),
    request("C17", "does not wrap JSON values", |parts, body| {
        let is_json =
            parts.headers.get("content-type").is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
        if is_json && parts.method == Method::POST && body.starts_with(b"[") && body.ends_with(b"]") && body.len() > 2 {
            *body = body.slice(1..body.len() - 1);
            parts.headers.remove("content-length");
        }
    }),
    request("C18", "ends each write with a line feed", |parts, body| {
        if parts.method == Method::POST {
            add(body, "\n");
        }
    }),
    reply("C19", "never tries again", |_, head, _| {
        if head.status.is_server_error() || head.status == 429 {
            status(head, 418);
        }
    }),
    reply("C20", "tries everything again", |_, head, _| {
        if head.status.is_client_error() {
            status(head, 503);
        }
    }),
    reply("C21", "does not try plain appends again", |asked, head, _| {
        if asked.method == Method::POST && (head.status.is_server_error() || head.status == 429) {
            status(head, 418);
        }
    }),
    reply("C22", "knows one kind of 409", |_, head, _| {
        if head.status == 409 {
            head.headers.remove("stream-closed");
            head.headers.remove("producer-expected-seq");
        }
    }),
    reply("C23", "forgets the final offset", |asked, head, _| {
        if asked.method == Method::POST {
            head.headers.insert("stream-next-offset", HeaderValue::from_static("somewhere"));
        }
    }),
    request("C24", "counts from 1", |parts, _| {
        header(&mut parts.headers, "producer-seq", |seq| seq.parse::<u64>().map_or(0, |seq| seq + 1).to_string());
    }),
    reply("C25", "takes a duplicate for a failure", |asked, head, _| {
        if is_producers(asked) && head.status == 204 {
            status(head, 409);
        }
    }),
    reply("C26", "gives up at a gap", |asked, head, _| {
        if is_producers(asked) && head.status == 409 {
            head.headers.remove("producer-expected-seq");
        }
    }),
    reply("C27", "does not see the epoch in force", |asked, head, _| {
        if is_producers(asked) && head.status == 403 {
            head.headers.remove("producer-epoch");
        }
    }),
    command("C28", "sends many before the first success", |command| {
        if command["autoClaim"] == true {
            command["autoClaim"] = false.into();
        }
    }),
    reply("C29", "goes on after a refused batch", |asked, head, _| {
        if is_producers(asked) && head.status.is_client_error() {
            status(head, 200);
        }
    }),
    command("C30", "closes with a producer of its own", |command| {
        if command["type"] == "idempotent-close" {
            command["producerId"] =
                format!("{}-{}", command["producerId"].as_str().unwrap_or_default(), crate::entropy()).into();
        }
    }),
    request("C31", "stays in its epoch", |parts, _| header(&mut parts.headers, "producer-epoch", |_| "0".to_owned())),
    request("C32", "rounds large numbers", |parts, _| {
        header(&mut parts.headers, "producer-epoch", |epoch| match epoch.parse::<u64>() {
            Ok(epoch) if epoch > 1 << 50 => (epoch & !0xff).to_string(),
            _ => epoch.to_owned(),
        });
    }),
    request("C33", "changes what it repeats", |parts, body| {
        if is_producers(parts) {
            add(body, &" ".repeat(1 + usize::try_from(crate::entropy() % 1000).unwrap_or(0)));
        }
    }),
    request("C34", "forgets settings of a create", |parts, _| {
        if parts.method == Method::PUT {
            for name in ["stream-ttl", "stream-expires-at", "stream-closed"] {
                parts.headers.remove(name);
            }
        }
    }),
    reply("C35", "takes a missing stream for an empty one", |asked, head, _| {
        if asked.method == Method::HEAD && head.status == 404 {
            status(head, 200);
            head.headers.insert("stream-next-offset", HeaderValue::from_static("0"));
        }
    }),
    reply("C36", "takes a close without data for an append", |asked, head, _| {
        if asked.method == Method::POST && asked.headers.contains_key("stream-closed") && head.status == 204 {
            status(head, 409);
        }
    }),
    request("C37", "drops the caller's headers", |parts, _| {
        let own: Vec<_> = parts.headers.keys().filter(|name| name.as_str().starts_with("x-")).cloned().collect();
        for name in own {
            parts.headers.remove(name);
        }
    }),
    result("C38", "accepts any argument", |result| {
        if result["commandType"] == "validate" {
            *result = json!({"type": "validate", "success": true});
        }
    }),
    result("C39", "does not say which stream", |result| {
        if result["type"] == "error" {
            result["message"] = "it failed".into();
        }
    }),
    request("C40", "does not send the tag it was given", |parts, _| {
        parts.headers.remove("if-none-match");
    }),
    command("C41", "does not stop when told", |command| {
        if let Some(ms) = command["timeoutMs"].as_u64() {
            command["timeoutMs"] = (ms + 8000).into();
        }
    }),
    reply("C42", "insists on the next offset of every answer", |asked, head, _| {
        if asked.method == Method::POST && !head.headers.contains_key("stream-next-offset") {
            status(head, 400);
        }
    }),
    result("C43", "takes silence for a failure", |result| {
        if result["type"] == "read" && result["chunks"] == json!([]) {
            *result = json!({"type": "error", "success": false, "commandType": "read", "errorCode": "TIMEOUT",
                "message": "nothing came"});
        }
    }),
    result("C44", "gives names a meaning", |result| {
        for chunk in result["chunks"].as_array_mut().into_iter().flatten() {
            if let Some(data) = chunk["data"].as_str() {
                chunk["data"] = data.replace("\"__proto__\":{\"polluted\":true},", "").replace("{{7*7}}", "49").into();
            }
        }
    }),
];
