//! What one address serves: virtual hosts, and routes in each.

use std::sync::{Arc, OnceLock};

use http::{HeaderValue, Request, StatusCode, header};

use super::{
    answer::{self, Answer},
    body::Body,
    connection::Connection,
    matcher::Matcher,
    request_body::RequestBody,
    service::{Dropped, Service, set_security_headers},
    upstream::{ForwardAuth, Upstream},
};

/// What one address serves: nothing but its state until the store is open, its hosts then.
#[derive(Debug, Default)]
pub(crate) struct Site {
    hosts: OnceLock<Vec<VirtualHost>>,
}

/// What is served under one host name.
#[derive(Debug)]
pub(crate) struct VirtualHost {
    /// The name, lower case; `None` = any.
    pub(crate) name: Option<String>,
    /// Tried in order.
    pub(crate) routes: Vec<Route>,
}

/// One thing to do with requests that match.
#[derive(Debug)]
pub(crate) struct Route {
    /// Which requests; `None` = all.
    pub(crate) matcher: Option<Matcher>,
    /// What to do.
    pub(crate) action: Action,
}

/// What a route does.
#[derive(Debug)]
pub(crate) enum Action {
    /// Serves streams; passes what is outside its prefix.
    Streams(Arc<Service>),
    /// Answers this.
    Respond {
        /// Status.
        status: StatusCode,
        /// Text; may be empty.
        body: String,
    },
    /// Asks whether the request may pass.
    ForwardAuth(Box<ForwardAuth>),
    /// Passes the request on to another server.
    Proxy(Box<Upstream>),
    /// Tries these in order.
    Group {
        /// Whether nothing after the group is tried when it matched.
        is_final: bool,
        /// The routes.
        routes: Vec<Route>,
    },
}

/// What became of a request.
enum Outcome {
    Answered(Result<Answer, Dropped>),
    Passed(Request<RequestBody>),
}

impl Site {
    /// Starts serving; later calls change nothing.
    pub(crate) fn open(&self, hosts: Vec<VirtualHost>) {
        let _ = self.hosts.set(hosts);
    }

    /// The stream service, when there is nothing else to route to.
    pub(crate) fn only_streams(&self) -> Option<&Arc<Service>> {
        if let [VirtualHost { name: None, routes }] = self.hosts.get()?.as_slice()
            && let [Route { matcher: None, action: Action::Streams(service) }] = routes.as_slice()
        {
            return Some(service);
        }
        None
    }

    /// Answers one request.
    pub(crate) async fn handle(
        &self,
        connection: &Arc<Connection>,
        request: Request<RequestBody>,
    ) -> Result<Answer, Dropped> {
        let Some(hosts) = self.hosts.get() else { return Ok(recovering(request.uri().path())) };
        if let Some(service) = self.only_streams() {
            return service.handle(connection, request).await;
        }
        Box::pin(route(hosts, connection, request)).await
    }
}

async fn route(
    hosts: &[VirtualHost],
    connection: &Arc<Connection>,
    request: Request<RequestBody>,
) -> Result<Answer, Dropped> {
    let name = host_of(&request);
    let named = hosts.iter().find(|host| host.name.is_some() && host.name == name);
    let host = named.or_else(|| hosts.iter().find(|host| host.name.is_none()));
    let outcome = match host {
        Some(host) => try_routes(&host.routes, connection, request).await,
        None => Outcome::Passed(request),
    };
    match outcome {
        Outcome::Answered(answered) => answered,
        Outcome::Passed(request) => {
            // A health check reaches the streams even when their route is narrower.
            let is_own_page = matches!(request.uri().path(), "/health" | "/healthz" | "/readyz" | "/metrics");
            match host.and_then(|host| first_streams(&host.routes)).filter(|_| is_own_page) {
                Some(service) => service.handle(connection, request).await,
                None => Ok(secured(answer::not_found("there is nothing here"))),
            }
        }
    }
}

fn first_streams(routes: &[Route]) -> Option<&Service> {
    routes.iter().find_map(|route| match &route.action {
        Action::Streams(service) => Some(&**service),
        Action::Group { routes, .. } => first_streams(routes),
        Action::Respond { .. } | Action::ForwardAuth(_) | Action::Proxy(_) => None,
    })
}

/// The host a request names, lower case, without its port.
fn host_of(request: &Request<RequestBody>) -> Option<String> {
    let host = match request.uri().host() {
        Some(host) => host,
        None => request.headers().get(header::HOST)?.to_str().ok()?,
    };
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        _ => host,
    };
    Some(bare.to_ascii_lowercase())
}

async fn try_routes(routes: &[Route], connection: &Arc<Connection>, mut request: Request<RequestBody>) -> Outcome {
    for Route { matcher, action } in routes {
        if matcher.as_ref().is_some_and(|matcher| !matcher.matches(&request)) {
            continue;
        }
        match action {
            Action::Streams(service) if service.claims(request.method(), request.uri().path()) => {
                return Outcome::Answered(service.handle(connection, request).await);
            }
            Action::Streams(_) => {}
            Action::Respond { status, body } => {
                let mut answer = answer::uncached(*status, Body::from(body.clone()));
                if !body.is_empty() {
                    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
                    answer.headers_mut().insert(header::CONTENT_TYPE, plain);
                }
                return Outcome::Answered(Ok(secured(answer)));
            }
            Action::ForwardAuth(auth) => match auth.judge(&connection.peer, request).await {
                Ok(admitted) => request = admitted,
                Err(answer) => return Outcome::Answered(Ok(answer)),
            },
            Action::Proxy(upstream) => {
                return Outcome::Answered(Ok(upstream.proxy(&connection.peer, request).await));
            }
            Action::Group { is_final, routes } => match Box::pin(try_routes(routes, connection, request)).await {
                Outcome::Passed(_) if *is_final => {
                    return Outcome::Answered(Ok(secured(answer::not_found("there is nothing here"))));
                }
                Outcome::Passed(passed) => request = passed,
                answered @ Outcome::Answered(_) => return answered,
            },
        }
    }
    Outcome::Passed(request)
}

fn secured(mut answer: Answer) -> Answer {
    set_security_headers(answer.headers_mut());
    answer
}

fn recovering(path: &str) -> Answer {
    let mut answer = match path {
        "/healthz" => return answer::json(StatusCode::OK, r#"{"status":"ok"}"#),
        "/health" | "/readyz" => answer::json(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"recovering"}"#),
        _ => answer::overloaded("the server is reading its storage; try again in a moment"),
    };
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    secured(answer)
}
