//! The part of the Caddyfile language this server speaks. Whatever it does not speak
//! is refused by name, with file and line, rather than skipped: a guard that is
//! silently ignored is worse than none.

mod actions;
mod address;
mod lexer;
mod matchers;
mod streams;

use std::path::PathBuf;

use http::{HeaderName, StatusCode, uri::Authority};

pub(super) use self::address::Address;
use self::{address::address, lexer::Word};
use super::{ConfigError, layer::Layer};
use crate::http::matcher::Matcher;

/// A site block.
#[derive(Debug)]
pub(super) struct CaddySite {
    /// Where it is served.
    pub(super) addresses: Vec<Address>,
    /// Certificate chain and private key.
    pub(super) tls: Option<(PathBuf, PathBuf)>,
    /// What it does, in order.
    pub(super) routes: Vec<CaddyRoute>,
}

/// One directive that handles requests.
#[derive(Debug)]
pub(super) struct CaddyRoute {
    /// Which requests; `None` = all.
    pub(super) matcher: Option<Matcher>,
    /// What to do.
    pub(super) action: CaddyAction,
}

/// What a directive does.
#[derive(Debug)]
pub(super) enum CaddyAction {
    /// `durable_streams`.
    Streams(Box<Layer>),
    /// `respond`.
    Respond(StatusCode, String),
    /// `forward_auth`.
    ForwardAuth { upstream: Authority, uri: Option<http::uri::PathAndQuery>, copy_headers: Vec<HeaderName> },
    /// `reverse_proxy`.
    Proxy(Authority),
    /// `route` or `handle`.
    Group { is_final: bool, routes: Vec<CaddyRoute> },
}

/// Reads a Caddyfile's text. `file` is its name for messages.
pub(super) fn parse(
    file: &str,
    text: &str,
    variable: impl Fn(&str) -> Option<String>,
    warnings: &mut Vec<String>,
) -> Result<Vec<CaddySite>, ConfigError> {
    let words = lexer::words(file, &lexer::with_environment(text, variable))?;
    let mut parser = Parser { file, words: words.into_iter().peekable(), warnings };
    parser.file()
}

struct Parser<'p> {
    file: &'p str,
    words: std::iter::Peekable<std::vec::IntoIter<Word>>,
    warnings: &'p mut Vec<String>,
}

/// A directive: its words on one line, and whether a block follows.
struct Directive {
    name: String,
    arguments: Vec<Word>,
    has_block: bool,
    line: usize,
}

/// What every refusal advises.
const ADVICE: &str = "put a full web server such as Caddy or nginx in front for that";

impl Parser<'_> {
    fn file(&mut self) -> Result<Vec<CaddySite>, ConfigError> {
        if self.words.next_if(Word::opens).is_some() {
            self.global_options()?;
        }
        let mut sites = Vec::new();
        while self.words.peek().is_some() {
            sites.push(self.site()?);
        }
        if sites.is_empty() {
            return Err(self.error(1, "there is no site; add one such as :4437 { durable_streams }"));
        }
        Ok(sites)
    }

    fn global_options(&mut self) -> Result<(), ConfigError> {
        while let Some(option) = self.directive()? {
            let words: Vec<&str> = option.arguments.iter().map(|word| word.text.as_str()).collect();
            match (option.name.as_str(), words.as_slice()) {
                ("order", ["durable_streams", "first" | "last"] | ["durable_streams", "before" | "after", _]) => {}
                ("admin" | "auto_https", ["off"]) => {}
                ("order" | "admin" | "auto_https", _) => {
                    let known = "order durable_streams before reverse_proxy, admin off and auto_https off";
                    let given = format!("{} {}", option.name, words.join(" "));
                    return Err(self.error(option.line, format!("{given:?} is not supported; only {known} are")));
                }
                _ => return Err(self.unsupported("global option", &option)),
            }
            self.no_block(&option)?;
        }
        Ok(())
    }

    fn site(&mut self) -> Result<CaddySite, ConfigError> {
        let mut addresses: Vec<(String, usize)> = Vec::new();
        let mut line = 1;
        loop {
            let Some(word) = self.words.next() else {
                // What stands here instead of an address may tell more.
                if let Some((text, line)) = addresses.first() {
                    address(text, *line, false).map_err(|reason| self.error(*line, reason))?;
                }
                return Err(self.error(line, "the site has no block; write its directives between { and }"));
            };
            line = word.line;
            if word.opens() {
                break;
            }
            if word.closes() {
                return Err(self.error(line, "this } closes nothing"));
            }
            for part in word.text.split(',').filter(|part| !part.is_empty()) {
                addresses.push((part.to_owned(), line));
            }
        }
        if addresses.is_empty() {
            return Err(self.error(line, "this block has no address; write one such as :4437 in front of it"));
        }
        let Block { routes, named, tls } = self.block(None, true)?;
        let routes = self.resolved(routes, &named)?;
        let addresses = addresses
            .into_iter()
            .map(|(text, line)| address(&text, line, tls.is_some()).map_err(|reason| self.error(line, reason)))
            .collect::<Result<_, _>>()?;
        Ok(CaddySite { addresses, tls, routes })
    }

    /// The directives of a site, `route` or `handle`, up to its closing brace. `prefix` is
    /// the path of the group around it.
    fn block(&mut self, prefix: Option<&str>, is_sorted: bool) -> Result<Block, ConfigError> {
        let mut directives = Vec::new();
        let mut named = matchers::Named::default();
        let mut tls = None;
        while let Some(directive) = self.directive()? {
            if let Some(name) = directive.name.strip_prefix('@') {
                let matcher = self.named_matcher(&directive)?;
                named.add(name, matcher);
                continue;
            }
            if directive.name == "tls" && prefix.is_none() {
                tls = Some(self.tls(&directive)?);
                continue;
            }
            let (rank, route) = self.route(directive, prefix)?;
            directives.push((rank, route));
        }
        if is_sorted {
            // Caddy runs the directives of a site in an order of its own, not in that of
            // the file; only inside `route` does the file's order count.
            let open_group = directives.iter().any(|(rank, _)| *rank == Rank::Group);
            let guard = directives.iter().find(|(rank, route)| *rank == Rank::Respond && route.matcher.is_some());
            if let (true, Some((_, route))) = (open_group, guard) {
                self.warnings.push(format!(
                    "{}:{}: respond runs after route and handle, as in Caddy, so it does not guard what they serve; \
                     move it inside",
                    self.file, route.line
                ));
            }
            directives.sort_by_key(|(rank, _)| *rank);
        }
        Ok(Block { routes: directives.into_iter().map(|(_, route)| route).collect(), named, tls })
    }

    /// The next directive of a block; `None` after its closing brace.
    fn directive(&mut self) -> Result<Option<Directive>, ConfigError> {
        let Some(first) = self.words.next() else {
            return Err(self.error(1, "a { is never closed"));
        };
        if first.closes() {
            return Ok(None);
        }
        if first.opens() {
            return Err(self.error(first.line, "this { belongs to nothing"));
        }
        let mut arguments = Vec::new();
        let mut has_block = false;
        while let Some(word) = self.words.next_if(|word| !word.is_first && !word.closes()) {
            if word.opens() {
                has_block = true;
                break;
            }
            arguments.push(word);
        }
        Ok(Some(Directive { name: first.text, arguments, has_block, line: first.line }))
    }

    fn route(&mut self, directive: Directive, prefix: Option<&str>) -> Result<(Rank, Unresolved), ConfigError> {
        let line = directive.line;
        let name = directive.name.clone();
        let (matcher, arguments) = matchers::split(&directive.arguments);
        let path = matcher.as_ref().and_then(|matcher| matcher.prefix());
        let (rank, step) = match name.as_str() {
            "durable_streams" => {
                let prefix = path.or_else(|| prefix.map(str::to_owned));
                let layer = self.streams(&directive, arguments.len(), prefix)?;
                (Rank::Streams, Step::Do(CaddyAction::Streams(Box::new(layer))))
            }
            "route" | "handle" => {
                if !directive.has_block || !arguments.is_empty() {
                    return Err(self.error(line, format!("{name} takes at most one matcher and a block")));
                }
                let inner = path.or_else(|| prefix.map(str::to_owned));
                // An empty prefix still marks the block as nested.
                let block = self.block(Some(inner.as_deref().unwrap_or_default()), name == "handle")?;
                (Rank::Group, Step::Group { is_final: name == "handle", block })
            }
            "respond" => (Rank::Respond, Step::Do(self.respond(&directive, &arguments)?)),
            "forward_auth" => (Rank::Auth, Step::Do(self.forward_auth(&directive, &arguments)?)),
            "reverse_proxy" => {
                let [upstream] = arguments.as_slice() else {
                    return Err(self.error(line, "reverse_proxy takes one upstream such as localhost:8080"));
                };
                self.no_block(&directive)?;
                (Rank::Proxy, Step::Do(CaddyAction::Proxy(self.upstream(upstream)?)))
            }
            _ => return Err(self.unsupported("directive", &directive)),
        };
        Ok((rank, Unresolved { matcher, step, line }))
    }

    /// Replaces names by the matchers meant; inner blocks see the names of outer ones.
    fn resolved(&self, routes: Vec<Unresolved>, named: &matchers::Named) -> Result<Vec<CaddyRoute>, ConfigError> {
        let resolve = |Unresolved { matcher, step, line }| {
            let matcher = matcher
                .map(|reference| reference.resolve(named).map_err(|reason| self.error(line, reason)))
                .transpose()?;
            let action = match step {
                Step::Do(action) => action,
                Step::Group { is_final, block } => {
                    CaddyAction::Group { is_final, routes: self.resolved(block.routes, &block.named.within(named))? }
                }
            };
            Ok(CaddyRoute { matcher, action })
        };
        routes.into_iter().map(resolve).collect()
    }

    fn named_matcher(&mut self, directive: &Directive) -> Result<Matcher, ConfigError> {
        if !directive.has_block {
            return matchers::one(&directive.arguments).map_err(|reason| self.error(directive.line, reason));
        }
        if !directive.arguments.is_empty() {
            return Err(self.error(directive.line, "a matcher is written on one line or in a block, not both"));
        }
        self.matcher_block()
    }

    /// Matchers in a block, all of which must hold.
    fn matcher_block(&mut self) -> Result<Matcher, ConfigError> {
        let mut all = Vec::new();
        while let Some(line) = self.directive()? {
            if line.name == "not" && line.has_block && line.arguments.is_empty() {
                all.push(Matcher::Not(vec![self.matcher_block()?]));
                continue;
            }
            self.no_block(&line)?;
            let name = Word { text: line.name.clone(), is_quoted: false, line: line.line, is_first: true };
            let words: Vec<Word> = std::iter::once(name).chain(line.arguments).collect();
            all.push(matchers::one(&words).map_err(|reason| self.error(line.line, reason))?);
        }
        Ok(Matcher::All(matchers::merged(all)))
    }

    fn no_block(&self, directive: &Directive) -> Result<(), ConfigError> {
        if directive.has_block {
            return Err(self.error(directive.line, format!("{} takes no block here; {ADVICE}", directive.name)));
        }
        Ok(())
    }

    fn unsupported(&self, what: &str, directive: &Directive) -> ConfigError {
        self.error(directive.line, format!("the {what} {:?} is not supported; {ADVICE}", directive.name))
    }

    fn error(&self, line: usize, reason: impl std::fmt::Display) -> ConfigError {
        ConfigError::at(self.file, line, reason)
    }
}

struct Block {
    routes: Vec<Unresolved>,
    named: matchers::Named,
    tls: Option<(PathBuf, PathBuf)>,
}

/// A route whose named matcher may stand further down.
struct Unresolved {
    matcher: Option<matchers::Reference>,
    step: Step,
    line: usize,
}

enum Step {
    Do(CaddyAction),
    Group { is_final: bool, block: Block },
}

/// Caddy's order of directives, as far as they are supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Auth,
    Group,
    Respond,
    Streams,
    Proxy,
}

#[cfg(test)]
mod tests;
