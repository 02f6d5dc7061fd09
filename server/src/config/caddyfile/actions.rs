//! Directives that guard, answer or pass on: `respond`, `forward_auth`, `reverse_proxy`
//! upstreams, `tls`.

use std::path::PathBuf;

use http::{StatusCode, uri::Authority};

use super::{ADVICE, CaddyAction, Directive, Parser, lexer::Word};
use crate::config::ConfigError;

impl Parser<'_> {
    pub(super) fn respond(&mut self, directive: &Directive, arguments: &[Word]) -> Result<CaddyAction, ConfigError> {
        self.no_block(directive)?;
        let status = |word: &Word| {
            (word.text.len() == 3)
                .then(|| word.text.parse().ok().and_then(|code| StatusCode::from_u16(code).ok()))
                .flatten()
        };
        match arguments {
            [] => Ok(CaddyAction::Respond(StatusCode::OK, String::new())),
            [one] => Ok(match status(one).filter(|_| !one.is_quoted) {
                Some(status) => CaddyAction::Respond(status, String::new()),
                None => CaddyAction::Respond(StatusCode::OK, one.text.clone()),
            }),
            [body, code] => match status(code) {
                Some(status) => Ok(CaddyAction::Respond(status, body.text.clone())),
                None => Err(self.error(directive.line, format!("{:?} is not an HTTP status", code.text))),
            },
            _ => Err(self.error(directive.line, "respond takes a text, a status, or a text and a status")),
        }
    }

    pub(super) fn forward_auth(
        &mut self,
        directive: &Directive,
        arguments: &[Word],
    ) -> Result<CaddyAction, ConfigError> {
        let [upstream] = arguments else {
            return Err(self.error(directive.line, "forward_auth takes one upstream such as localhost:9091"));
        };
        let upstream = self.upstream(upstream)?;
        let (mut uri, mut copy_headers) = (None, Vec::new());
        while directive.has_block
            && let Some(sub) = self.directive()?
        {
            match (sub.name.as_str(), sub.arguments.as_slice()) {
                ("uri", [path]) => match path.text.parse() {
                    Ok(path) if path_starts_with_slash(&path) => uri = Some(path),
                    Ok(_) | Err(_) => return Err(self.error(sub.line, format!("uri is {:?}; give a path", path.text))),
                },
                ("copy_headers", names @ [_, ..]) => {
                    for name in names {
                        match name.text.parse() {
                            Ok(name) => copy_headers.push(name),
                            Err(_) => {
                                return Err(self.error(sub.line, format!("{:?} is not a header name", name.text)));
                            }
                        }
                    }
                }
                _ => {
                    let reason =
                        format!("forward_auth: {:?} is not supported; uri and copy_headers are; {ADVICE}", sub.name);
                    return Err(self.error(sub.line, reason));
                }
            }
            self.no_block(&sub)?;
        }
        Ok(CaddyAction::ForwardAuth { upstream, uri, copy_headers })
    }

    /// Host and port of an upstream over plain HTTP.
    pub(super) fn upstream(&self, word: &Word) -> Result<Authority, ConfigError> {
        let bare = word.text.strip_prefix("http://").unwrap_or(&word.text);
        let authority = if bare.starts_with(':') { format!("localhost{bare}") } else { bare.to_owned() };
        authority
            .parse::<Authority>()
            .ok()
            .filter(|parsed| !parsed.as_str().contains('@') && !bare.contains("://"))
            .ok_or_else(|| {
                self.error(
                    word.line,
                    format!("the upstream {:?} is not host:port over plain HTTP; {ADVICE}", word.text),
                )
            })
    }

    pub(super) fn tls(&mut self, directive: &Directive) -> Result<(PathBuf, PathBuf), ConfigError> {
        self.no_block(directive)?;
        match directive.arguments.as_slice() {
            [certificate, key] => Ok((certificate.text.as_str().into(), key.text.as_str().into())),
            _ => Err(self.error(
                directive.line,
                format!(
                    "tls takes a certificate file and a key file; automatic certificates are not built in; {ADVICE}"
                ),
            )),
        }
    }
}

fn path_starts_with_slash(path: &http::uri::PathAndQuery) -> bool {
    path.as_str().starts_with('/')
}
