//! Which server and which stream: the rules for base URLs and stream ids.

use url::Url;

/// Base URL when neither `--url` nor `STREAM_URL` is given.
pub const DEFAULT_URL: &str = "http://localhost:4437/v1/stream";
/// What is appended to a base URL that has no path.
pub const DEFAULT_PREFIX: &str = "/v1/stream";
/// Most characters of a stream id.
pub const MAX_ID_CHARS: usize = 256;

/// A stream as the user named it, and its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The id as typed, for messages.
    pub id: String,
    /// The stream's URL.
    pub url: String,
}

/// A value and where it came from, for messages that name both.
#[derive(Debug, Clone)]
pub struct Setting {
    /// `--url`, `STREAM_URL` and the like.
    pub source: &'static str,
    /// The value.
    pub value: String,
}

/// Checks the base URL and appends the prefix when it has no path.
/// Shape: without a trailing slash.
/// Errors: a sentence that names the setting, the value and the fix.
pub fn base_url(setting: &Setting, prefix: Option<&Setting>) -> Result<String, String> {
    let Setting { source, value } = setting;
    let refuse = |why: &str| Err(format!("{source} \"{value}\" {why}; give something like {DEFAULT_URL}"));
    let url = match Url::parse(value) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && value.contains("://") => url,
        Ok(_) | Err(url::ParseError::RelativeUrlWithoutBase) => {
            return refuse("does not start with http:// or https://");
        }
        Err(error) => return refuse(&format!("is not a URL ({error})")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        // The value is not repeated: it holds a password.
        return Err(format!("{source} holds a user name or password; pass credentials with STREAM_AUTH instead"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("has a query or fragment, which a base URL cannot have");
    }
    let bare = value.trim().trim_end_matches('/');
    if !url.path().trim_matches('/').is_empty() {
        return Ok(bare.to_owned());
    }
    Ok(format!("{bare}{}", checked_prefix(prefix)?))
}

/// Resolves a stream id against a checked base URL; a full http(s) URL is taken as it is.
/// Errors: a sentence that names the id and the fix.
pub fn target(base: &str, id: &str) -> Result<Target, String> {
    if id.starts_with("http://") || id.starts_with("https://") {
        return match Url::parse(id) {
            Ok(url) if url.fragment().is_none() => Ok(Target { id: id.to_owned(), url: id.to_owned() }),
            Ok(_) => Err(format!("stream URL \"{id}\" has a fragment; leave away everything from # on")),
            Err(error) => Err(format!("stream URL \"{id}\" is not a URL ({error})")),
        };
    }
    let path = id.strip_prefix('/').unwrap_or(id);
    if let Some(why) = fault_of(path) {
        return Err(format!("invalid stream id \"{}\": {why}", shortened(id)));
    }
    Ok(Target { id: id.to_owned(), url: format!("{base}/{path}") })
}

fn checked_prefix(prefix: Option<&Setting>) -> Result<String, String> {
    let Some(Setting { source, value }) = prefix else { return Ok(DEFAULT_PREFIX.to_owned()) };
    let path = value.trim_matches('/');
    let fault = if path.is_empty() { None } else { fault_of(path) };
    match fault {
        Some(why) => Err(format!(
            "{source} \"{value}\" cannot be a path: {why}; give something like {DEFAULT_PREFIX}, or / for none"
        )),
        None if path.is_empty() => Ok(String::new()),
        None => Ok(format!("/{path}")),
    }
}

fn fault_of(path: &str) -> Option<String> {
    if path.is_empty() {
        return Some("it is empty; give a name of 1 to 256 characters".to_owned());
    }
    if path.chars().count() > MAX_ID_CHARS {
        return Some(format!("it has {} characters; the limit is {MAX_ID_CHARS}", path.chars().count()));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.:/".contains(c);
    if let Some(bad) = path.chars().find(|c| !allowed(*c)) {
        return Some(format!("{bad:?} is not allowed; use letters, digits and _ - . : /"));
    }
    // An HTTP stack would resolve dot segments away and address another stream.
    match path.split('/').find(|segment| matches!(*segment, "" | "." | "..")) {
        Some("") => Some("it has an empty part; use one / between names and none at the end".to_owned()),
        Some(dots) => Some(format!("\"{dots}\" cannot be a part of it; use plain names between slashes")),
        None => None,
    }
}

fn shortened(id: &str) -> String {
    if id.chars().count() <= 80 { id.to_owned() } else { id.chars().take(80).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(value: &str) -> Setting {
        Setting { source: "STREAM_URL", value: value.to_owned() }
    }

    fn based(value: &str) -> Result<String, String> {
        base_url(&setting(value), None)
    }

    #[test]
    fn a_url_without_a_path_gets_the_prefix() {
        for value in ["http://localhost:4437", "http://localhost:4437/", "http://localhost:4437//"] {
            assert_eq!(based(value).as_deref(), Ok("http://localhost:4437/v1/stream"), "{value}");
        }
        assert_eq!(based("https://s.example.com/v2/").as_deref(), Ok("https://s.example.com/v2"));
    }

    #[test]
    fn the_prefix_can_be_changed_or_nothing() {
        let with = |prefix: &str| {
            base_url(&setting("http://h:1"), Some(&Setting { source: "--prefix", value: prefix.to_owned() }))
        };
        assert_eq!(with("/").as_deref(), Ok("http://h:1"));
        assert_eq!(with("").as_deref(), Ok("http://h:1"));
        assert_eq!(with("a/b/").as_deref(), Ok("http://h:1/a/b"));
        assert!(with("/a b").is_err());
    }

    #[test]
    fn bad_base_urls_are_named_with_their_source() {
        for bad in
            ["localhost:4437", "ftp://x", "http://", "", "http:x", "http://h/?a=1", "http://h/#x", "http://h:99999"]
        {
            let error = based(bad).expect_err(bad);
            assert!(error.contains("STREAM_URL") && error.contains(bad), "{error}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        let error = based("http://me:secret@h").expect_err("credentials");
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn ids_become_urls() {
        let url = |id: &str| target("http://h/v1/stream", id).map(|target| target.url);
        assert_eq!(url("my-stream").as_deref(), Ok("http://h/v1/stream/my-stream"));
        assert_eq!(url("/plant/boiler-3").as_deref(), Ok("http://h/v1/stream/plant/boiler-3"));
        assert_eq!(url("a:b.c_D-9").as_deref(), Ok("http://h/v1/stream/a:b.c_D-9"));
        assert_eq!(url("http://other/x?y=1").as_deref(), Ok("http://other/x?y=1"));
        assert_eq!(url(&"x".repeat(256)).map(|url| url.len()), Ok("http://h/v1/stream/".len() + 256));
    }

    #[test]
    fn bad_ids_are_refused() {
        let long = "x".repeat(257);
        for bad in [
            "",
            "/",
            "//a",
            "a//b",
            "a/",
            "a/../b",
            "..",
            "./a",
            "a b",
            "a?b",
            "a#b",
            "a%2Fb",
            "ü",
            "a\n",
            "http://",
            long.as_str(),
        ] {
            assert!(target("http://h", bad).is_err(), "{bad:?}");
        }
    }
}
