//! Whether a result is what a test expects. Stricter than the public runner: an error that
//! nobody expected fails, and so does an expectation that the result cannot answer.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    case::fields::Field,
    vars::Vars,
    yaml::{self, Node},
};

/// An operation's expectations.
type Expectations = [(&'static Field, Node)];

/// Checks a result; the error says what differs.
pub fn check(expect: &Expectations, result: &Value, took: Duration, vars: &Vars) -> Result<(), String> {
    if let Some(failure) = failure_of(result)
        && !expects_failure(expect)
    {
        return Err(format!("unexpected {failure}"));
    }
    for (field, node) in expect {
        let node = if field.vars { vars.fill_node(node)? } else { node.clone() };
        one(field.name, &node, result, took).map_err(|why| format!("expect.{}: {why}", field.name))?;
    }
    Ok(())
}

/// Sets the variables that expectations ask for.
pub fn capture(expect: &Expectations, result: &Value, vars: &mut Vars) -> Result<(), String> {
    if failure_of(result).is_some() {
        return Ok(());
    }
    for (field, node) in expect {
        let yaml::Value::Text(name) = &node.value else { continue };
        match field.name {
            "storeOffsetAs" => {
                let offset = offset(result).ok_or("storeOffsetAs: the result has no offset")?;
                vars.set(name, offset);
            }
            "storeDataAs" => vars.set(name, joined(result)?),
            "storeAs" => vars.set(name, result.clone()),
            _ => {}
        }
    }
    Ok(())
}

/// What went wrong according to the result itself.
fn failure_of(result: &Value) -> Option<String> {
    if result["type"] == "error" {
        let text = |key: &str| result[key].as_str().unwrap_or("?").to_owned();
        let status = result["status"].as_u64().map(|status| format!(" (status {status})")).unwrap_or_default();
        return Some(format!("error {}{status}: {}", text("errorCode"), text("message")));
    }
    if result["success"] == false {
        return Some(format!("failure: {result}"));
    }
    let status = result["status"].as_u64().filter(|status| *status >= 400)?;
    Some(format!("status {status}"))
}

fn expects_failure(expect: &Expectations) -> bool {
    let is_failure = |status: &Node| matches!(status.value, yaml::Value::Int(400..));
    expect.iter().any(|(field, node)| match field.name {
        "errorCode" | "errorCodeAnyOf" | "messageContains" | "errorContains" | "details" | "failIndices" => true,
        "error" => node.value == yaml::Value::Bool(true),
        "success" | "valid" | "allSucceed" => node.value == yaml::Value::Bool(false),
        "status" => is_failure(node),
        "statusAnyOf" => matches!(&node.value, yaml::Value::List(items) if items.iter().any(is_failure)),
        _ => false,
    })
}

fn one(key: &str, node: &Node, result: &Value, took: Duration) -> Result<(), String> {
    let wanted = node.to_value();
    let is_error = result["type"] == "error";
    match key {
        "status"
        | "producerEpoch"
        | "producerSeq"
        | "producerExpectedSeq"
        | "producerReceivedSeq"
        | "ttlSeconds"
        | "expiresAt"
        | "contentType"
        | "upToDate"
        | "streamClosed"
        | "duplicate"
        | "finalOffset"
        | "cursor" => equal(&result[key], &wanted),
        "statusAnyOf" => among(&result["status"], &wanted),
        "errorCode" if is_error => equal(&result["errorCode"], &wanted),
        "errorCodeAnyOf" if is_error => among(&result["errorCode"], &wanted),
        "errorCode" | "errorCodeAnyOf" => Err(format!("it succeeded: {}", shown(result))),
        "messageContains" => {
            let message = error_text(result)?.to_lowercase();
            texts(&wanted).try_for_each(|text| contains(&message, &text.to_lowercase()))
        }
        "errorContains" => contains(error_text(result)?, wanted.as_str().unwrap_or_default()),
        "error" => equal(&is_error.into(), &wanted),
        "success" | "valid" => equal(&(result["success"] == true).into(), &wanted),
        "details" => details(&result["details"], &wanted),
        "data" => equal(&joined(result)?.into(), &wanted),
        "dataContains" => contains(&joined(result)?, wanted.as_str().unwrap_or_default()),
        "dataContainsAll" => {
            let data = joined(result)?;
            texts(&wanted).try_for_each(|text| contains(&data, text))
        }
        "dataExact" => equal(&chunks(result)?.iter().map(|chunk| chunk["data"].clone()).collect(), &wanted),
        "messages" => equal(&messages(result)?, &wanted),
        "countedTo" => counted(result, wanted.as_u64().unwrap_or_default()),
        "bytes" => {
            let wanted = STANDARD.decode(wanted.as_str().unwrap_or_default()).map_err(|error| error.to_string())?;
            let bytes = bytes(result)?;
            if bytes == wanted {
                Ok(())
            } else {
                Err(format!("{} is not {}", bytes.escape_ascii(), wanted.escape_ascii()))
            }
        }
        "sameDataAs" => equal(&joined(result)?.into(), &wanted),
        "dataLength" => equal(&bytes(result)?.len().into(), &wanted),
        "chunkCount" => equal(&chunks(result)?.len().into(), &wanted),
        "minChunks" => bounded(chunks(result)?.len() as u64, wanted.as_u64(), None),
        "maxChunks" => bounded(chunks(result)?.len() as u64, None, wanted.as_u64()),
        "hasOffset" => equal(&offset(result).is_some_and(|offset| !offset.is_empty()).into(), &wanted),
        "sameOffsetAs" | "sameFinalOffsetAs" => {
            equal(&offset(result).ok_or("the result has no offset")?.into(), &wanted)
        }
        "otherOffsetThan" => match offset(result) {
            Some(offset) if wanted != offset => Ok(()),
            other => Err(format!("{other:?} should differ from {wanted}")),
        },
        "headersSent" | "paramsSent" => {
            let Some(sent) = result[key].as_object() else { return Err("the result has no such map".to_owned()) };
            let wanted = wanted.as_object().into_iter().flatten();
            wanted.into_iter().try_for_each(|(name, value)| {
                equal(sent.get(name).unwrap_or(&Value::Null), value).map_err(|why| format!("{name}: {why}"))
            })
        }
        "allSucceed" => equal(&indices(result, true)?.len().eq(&items(result)?.len()).into(), &wanted),
        "succeedIndices" => equal(&indices(result, true)?.into(), &wanted),
        "failIndices" => equal(&indices(result, false)?.into(), &wanted),
        "withinMs" => bounded(took.as_millis() as u64, None, wanted.as_u64()),
        "afterMs" => bounded(took.as_millis() as u64, wanted.as_u64(), None),
        // Captured once all checks passed.
        "storeOffsetAs" | "storeDataAs" | "storeAs" => Ok(()),
        _ => Err("the runner does not know how to check this".to_owned()),
    }
}

fn equal(found: &Value, wanted: &Value) -> Result<(), String> {
    if found == wanted {
        return Ok(());
    }
    let found = if found.is_null() { "nothing".to_owned() } else { shown(found) };
    Err(format!("wanted {}, found {found}", shown(wanted)))
}

fn among(found: &Value, wanted: &Value) -> Result<(), String> {
    let is_there = wanted.as_array().is_some_and(|wanted| wanted.contains(found));
    if is_there { Ok(()) } else { Err(format!("wanted one of {wanted}, found {}", shown(found))) }
}

fn contains(text: &str, part: &str) -> Result<(), String> {
    if text.contains(part) { Ok(()) } else { Err(format!("{part:?} is not in {}", shown(&text.into()))) }
}

/// Checks that a number lies between two limits, both inclusive.
pub fn bounded(found: u64, least: Option<u64>, most: Option<u64>) -> Result<(), String> {
    match (least, most) {
        (Some(least), _) if found < least => Err(format!("wanted at least {least}, found {found}")),
        (_, Some(most)) if found > most => Err(format!("wanted at most {most}, found {found}")),
        _ => Ok(()),
    }
}

fn details(found: &Value, wanted: &Value) -> Result<(), String> {
    let wanted = wanted.as_object().ok_or("must be keys with values")?;
    wanted.iter().try_for_each(|(key, value)| equal(&found[key], value).map_err(|why| format!("{key}: {why}")))
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn error_text(result: &Value) -> Result<&str, String> {
    result["message"].as_str().filter(|_| result["type"] == "error").ok_or_else(|| "it is no error".to_owned())
}

fn chunks(result: &Value) -> Result<&Vec<Value>, String> {
    result["chunks"].as_array().ok_or_else(|| format!("the result has no data: {}", shown(result)))
}

fn joined(result: &Value) -> Result<String, String> {
    Ok(chunks(result)?.iter().filter_map(|chunk| chunk["data"].as_str()).collect())
}

fn bytes(result: &Value) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    for chunk in chunks(result)? {
        let data = chunk["data"].as_str().unwrap_or_default();
        if chunk["binary"] == true {
            all.extend(STANDARD.decode(data).map_err(|error| format!("a binary chunk is not base64: {error}"))?);
        } else {
            all.extend_from_slice(data.as_bytes());
        }
    }
    Ok(all)
}

/// All JSON messages of a read, chunk borders forgotten.
fn messages(result: &Value) -> Result<Value, String> {
    let mut all = Vec::new();
    for chunk in chunks(result)? {
        let data = chunk["data"].as_str().unwrap_or_default();
        match serde_json::from_str(data) {
            Ok(Value::Array(messages)) => all.extend(messages),
            _ => return Err(format!("a chunk of a JSON stream is no array: {data:?}")),
        }
    }
    Ok(all.into())
}

/// Whether the messages of a JSON stream, or the lines of another, are the numbers from 0 to
/// below a limit, in order.
fn counted(result: &Value, limit: u64) -> Result<(), String> {
    let text = joined(result)?;
    let found: Vec<String> = if text.starts_with('[') {
        messages(result)?.as_array().into_iter().flatten().map(Value::to_string).collect()
    } else {
        text.lines().map(str::to_owned).collect()
    };
    let wrong = (0..limit).zip(&found).find(|(number, found)| number.to_string() != **found);
    match wrong {
        Some((number, found)) => Err(format!("where {number} should be there is {}", shown(&found.as_str().into()))),
        None => equal(&found.len().into(), &limit.into()),
    }
}

fn offset(result: &Value) -> Option<&str> {
    result["offset"].as_str().or_else(|| result["finalOffset"].as_str())
}

fn items(result: &Value) -> Result<Vec<bool>, String> {
    match result["results"].as_array() {
        Some(results) => Ok(results.iter().map(|result| result["success"] == true).collect()),
        None => Ok(vec![result["success"] == true]),
    }
}

fn indices(result: &Value, succeeded: bool) -> Result<Vec<usize>, String> {
    let items = items(result)?;
    Ok(items.iter().enumerate().filter(|(_, item)| **item == succeeded).map(|(index, _)| index).collect())
}

/// A value, shortened for people.
pub fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.len() <= 400 {
        return text;
    }
    let start: String = text.chars().take(300).collect();
    format!("{start}… ({} bytes)", text.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::case::parse;

    /// Checks a result against expectations written as in a case file.
    fn verdict(expect: &str, result: Value) -> Result<(), String> {
        let suite = format!(
            "id: a\nname: A\ncategory: consumer\ntests:\n  - id: t\n    name: T\n    operations:\n      - action: \
             read\n        path: /a\n        expect: {expect}\n"
        );
        let suite = parse("a.yaml", &suite).expect("a suite");
        check(&suite.tests[0].operations[0].expect, &result, Duration::from_millis(50), &Vars::default())
    }

    fn read(data: &[&str]) -> Value {
        let chunks: Vec<_> = data.iter().map(|data| json!({"data": data})).collect();
        json!({"type": "read", "success": true, "status": 200, "offset": "1", "upToDate": true, "streamClosed": false,
            "chunks": chunks})
    }

    fn error() -> Value {
        json!({"type": "error", "success": false, "commandType": "read", "errorCode": "NOT_FOUND", "message": "/A: no"})
    }

    #[test]
    fn an_error_nobody_expected_fails_whatever_else_is_expected() {
        for expect in ["{}", "{upToDate: true}", "{data: a}", "{chunkCount: 0}", "{error: false}", "{status: 200}"] {
            assert!(verdict(expect, error()).is_err(), "{expect}");
        }
        for expect in ["{errorCode: NOT_FOUND}", "{error: true}", "{success: false}", "{messageContains: [/a]}"] {
            assert_eq!(verdict(expect, error()), Ok(()), "{expect}");
        }
    }

    #[test]
    fn an_error_without_a_status_does_not_satisfy_a_status() {
        assert!(verdict("{status: 404}", error()).is_err());
    }

    #[test]
    fn a_success_where_an_error_is_expected_fails() {
        for expect in ["{errorCode: X}", "{error: true}", "{valid: false}", "{messageContains: []}", "{status: 404}"] {
            assert!(verdict(expect, read(&["a"])).is_err(), "{expect}");
        }
    }

    #[test]
    fn data_is_compared_joined_exact_and_as_messages() {
        assert_eq!(
            verdict("{data: ab, dataExact: [a, b], chunkCount: 2, minChunks: 2, maxChunks: 2}", read(&["a", "b"])),
            Ok(())
        );
        assert!(verdict("{dataExact: [ab]}", read(&["a", "b"])).is_err());
        assert!(verdict("{maxChunks: 1}", read(&["a", "b"])).is_err());
        assert_eq!(verdict("{messages: [1, {a: 2}]}", read(&["[1]", "[{\"a\":2}]"])), Ok(()));
        assert!(verdict("{messages: [1]}", read(&["1"])).is_err());
        assert_eq!(verdict("{bytes: YWI=}", read(&["ab"])), Ok(()));
    }

    #[test]
    fn counting_finds_what_is_missing_doubled_or_out_of_order() {
        for (chunks, good) in [
            (&["[0,1]", "[2]"][..], true),
            (&["0\n1\n2\n"], true),
            (&["[0,1]"], false),
            (&["[0,1,1,2]"], false),
            (&["[0,2,1]"], false),
            (&["[0,1,2,3]"], false),
            (&[], false),
        ] {
            assert_eq!(verdict("{countedTo: 3}", read(chunks)).is_ok(), good, "{chunks:?}");
        }
    }

    #[test]
    fn an_expectation_that_the_result_cannot_answer_fails() {
        for expect in ["{duplicate: false}", "{producerSeq: 0}", "{finalOffset: \"1\"}", "{headersSent: {}}"] {
            assert!(verdict(expect, read(&[])).is_err(), "{expect}");
        }
    }
}
