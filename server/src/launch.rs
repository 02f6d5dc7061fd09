//! Starting what a configuration describes: addresses, their hosts and routes, and the
//! stores behind them, each opened once.

use std::{path::PathBuf, sync::Arc};

use http::{HeaderName, StatusCode, uri::Authority};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    backend::{Backend, BackendOptions, Storage},
    http::{
        HttpOptions, Phase,
        listener::{self, Gate},
        matcher::Matcher,
        service::{MIN_CHUNK_BYTES, Service},
        site::{Action, Route, Site, VirtualHost},
        upstream::{ForwardAuth, Upstream},
    },
    metrics::Metrics,
    server::StartError,
    tls,
};

/// One address to listen on and what it serves.
#[derive(Debug, Clone)]
pub(crate) struct SitePlan {
    /// Name or address to listen on.
    pub(crate) host: String,
    /// Port to listen on; 0 takes a free one.
    pub(crate) port: u16,
    /// Certificate chain and private key, PEM files; absent = plain HTTP.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    /// What is served, by host name.
    pub(crate) hosts: Vec<HostPlan>,
}

/// What is served under one host name.
#[derive(Debug, Clone)]
pub(crate) struct HostPlan {
    /// The name, lower case; `None` = any.
    pub(crate) name: Option<String>,
    /// Tried in order.
    pub(crate) routes: Vec<RoutePlan>,
}

/// One thing to do with requests that match.
#[derive(Debug, Clone)]
pub(crate) struct RoutePlan {
    /// Which requests; `None` = all.
    pub(crate) matcher: Option<Matcher>,
    /// What to do.
    pub(crate) action: ActionPlan,
}

/// What a route does.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "bin"), allow(dead_code, reason = "only configuration files make the others"))]
pub(crate) enum ActionPlan {
    /// Serves streams.
    Streams(Box<StreamsPlan>),
    /// Answers this.
    Respond {
        /// Status.
        status: StatusCode,
        /// Text.
        body: String,
    },
    /// Asks another server whether a request may pass.
    ForwardAuth {
        /// Whom.
        upstream: Authority,
        /// Path and query to ask at; `None` = the request's own.
        uri: Option<http::uri::PathAndQuery>,
        /// Headers of a yes that are handed on.
        copy_headers: Vec<HeaderName>,
    },
    /// Passes requests on.
    Proxy(Authority),
    /// Tries these in order.
    Group {
        /// Whether nothing after the group is tried when it matched.
        is_final: bool,
        /// The routes.
        routes: Vec<RoutePlan>,
    },
}

/// One stream service.
#[derive(Debug, Clone)]
pub(crate) struct StreamsPlan {
    /// Tells memory stores apart: plans of one number share theirs.
    pub(crate) block: usize,
    /// Where streams live.
    pub(crate) backend: BackendOptions,
    /// The HTTP surface.
    pub(crate) http: HttpOptions,
}

/// Everything that was started.
pub(crate) struct Launched {
    /// Origin and port of each site, in the order of the plans.
    pub(crate) addresses: Vec<(String, u16)>,
    /// All stream services.
    pub(crate) services: Vec<Arc<Service>>,
    backends: Vec<OpenBackend>,
    phase: watch::Sender<Phase>,
    acceptors: Vec<JoinHandle<()>>,
    gate: Arc<Gate>,
}

struct OpenBackend {
    storage: Storage,
    block: usize,
    backend: Backend,
}

/// Listens on all addresses, opens all stores, serves. While stores are being read,
/// requests get 503 and `/health` says so.
pub(crate) async fn launch(plans: &[SitePlan], max_connections: usize) -> Result<Launched, StartError> {
    for plan in plans {
        plan.hosts.iter().try_for_each(|host| check(&host.routes))?;
    }
    let metrics = Arc::new(Metrics::default());
    let gate = Gate::new(max_connections, metrics.clone());
    let (phase, stop) = watch::channel(Phase::Running);
    let mut launched = Launched {
        addresses: Vec::new(),
        services: Vec::new(),
        backends: Vec::new(),
        phase,
        acceptors: Vec::new(),
        gate,
    };
    let mut sites = Vec::new();
    for plan in plans {
        let acceptor = plan.tls.as_ref().map(|(certificate, key)| tls::acceptor(certificate, key)).transpose()?;
        let listeners = listener::bind(&plan.host, plan.port).await.map_err(|source| StartError::Listen {
            host: plan.host.clone(),
            port: plan.port,
            source,
        })?;
        let port = listeners.first().and_then(|listener| listener.local_addr().ok()).map_or(plan.port, |at| at.port());
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        launched.addresses.push((format!("{scheme}://{}:{port}", url_host(&plan.host)), port));
        let site = Arc::new(Site::default());
        for socket in listeners {
            let accepting =
                listener::accept(socket, acceptor.clone(), site.clone(), launched.gate.clone(), stop.clone());
            launched.acceptors.push(tokio::spawn(accepting));
        }
        sites.push(site);
    }
    for (site, plan) in sites.iter().zip(plans) {
        match open_hosts(&mut launched, plan, &metrics).await {
            Ok(hosts) => site.open(hosts),
            Err(error) => {
                launched.stop().await;
                return Err(error);
            }
        }
    }
    for (url, _) in &launched.addresses {
        tracing::info!(%url, "serving");
    }
    Ok(launched)
}

impl Launched {
    /// Begins to stop: no new connections, live reads end.
    pub(crate) fn drain(&self) {
        for service in &self.services {
            service.begin_shut_down();
        }
        let _ = self.phase.send(Phase::Draining);
    }

    /// Stops in order and closes the stores.
    pub(crate) async fn stop(mut self) {
        self.drain();
        for acceptor in std::mem::take(&mut self.acceptors) {
            let _ = acceptor.await;
        }
        if tokio::time::timeout(PATIENCE, self.gate.closed()).await.is_err() {
            tracing::warn!("some connections did not end in time and are cut");
            let _ = self.phase.send(Phase::Killed);
            let _ = tokio::time::timeout(LAST_PATIENCE, self.gate.closed()).await;
        }
        for OpenBackend { backend, .. } in &self.backends {
            backend.close().await;
        }
    }
}

impl Drop for Launched {
    /// A server that is let go without being stopped ends its live reads, too; whatever
    /// else is under way is cut when the channel's sender goes.
    fn drop(&mut self) {
        self.drain();
    }
}

/// How long a stopping server waits for what is under way.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(7);
/// How long it waits for connections that were cut.
const LAST_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

fn check(routes: &[RoutePlan]) -> Result<(), StartError> {
    for route in routes {
        match &route.action {
            ActionPlan::Streams(streams) => check_http(&streams.http)?,
            ActionPlan::Group { routes, .. } => check(routes)?,
            ActionPlan::Respond { .. } | ActionPlan::ForwardAuth { .. } | ActionPlan::Proxy(_) => {}
        }
    }
    Ok(())
}

pub(crate) fn check_http(http: &HttpOptions) -> Result<(), StartError> {
    if !http.prefix.starts_with('/') || !http.prefix.ends_with('/') {
        return Err(StartError::Setting(format!("the prefix {:?} must start and end with a slash", http.prefix)));
    }
    if http.max_chunk_bytes < MIN_CHUNK_BYTES {
        let given = http.max_chunk_bytes;
        return Err(StartError::Setting(format!("max_chunk_bytes is {given}; it must be at least {MIN_CHUNK_BYTES}")));
    }
    Ok(())
}

async fn open_hosts(
    launched: &mut Launched,
    plan: &SitePlan,
    metrics: &Arc<Metrics>,
) -> Result<Vec<VirtualHost>, StartError> {
    let mut hosts = Vec::new();
    for host in &plan.hosts {
        hosts
            .push(VirtualHost { name: host.name.clone(), routes: open_routes(launched, &host.routes, metrics).await? });
    }
    Ok(hosts)
}

async fn open_routes(
    launched: &mut Launched,
    plans: &[RoutePlan],
    metrics: &Arc<Metrics>,
) -> Result<Vec<Route>, StartError> {
    let mut routes = Vec::new();
    for RoutePlan { matcher, action } in plans {
        let action = match action {
            ActionPlan::Streams(streams) => Action::Streams(open_streams(launched, streams, metrics).await?),
            ActionPlan::Respond { status, body } => Action::Respond { status: *status, body: body.clone() },
            ActionPlan::ForwardAuth { upstream, uri, copy_headers } => Action::ForwardAuth(Box::new(ForwardAuth {
                upstream: Upstream::new(upstream.clone()),
                uri: uri.clone(),
                copy_headers: copy_headers.clone(),
            })),
            ActionPlan::Proxy(upstream) => Action::Proxy(Box::new(Upstream::new(upstream.clone()))),
            ActionPlan::Group { is_final, routes } => {
                Action::Group { is_final: *is_final, routes: Box::pin(open_routes(launched, routes, metrics)).await? }
            }
        };
        routes.push(Route { matcher: matcher.clone(), action });
    }
    Ok(routes)
}

async fn open_streams(
    launched: &mut Launched,
    plan: &StreamsPlan,
    metrics: &Arc<Metrics>,
) -> Result<Arc<Service>, StartError> {
    let is_same = |open: &&OpenBackend| {
        open.storage == plan.backend.storage && (open.storage != Storage::Memory || open.block == plan.block)
    };
    let backend = match launched.backends.iter().find(is_same) {
        Some(open) => open.backend.clone(),
        None => {
            let backend = Backend::open(&plan.backend, &plan.http).await?;
            let storage = plan.backend.storage.clone();
            launched.backends.push(OpenBackend { storage, block: plan.block, backend: backend.clone() });
            backend
        }
    };
    let control = Some(backend.control_api());
    let service = Arc::new(Service::new(backend.engine, plan.http.clone(), metrics.clone(), control));
    launched.services.push(service.clone());
    Ok(service)
}

/// The host part of a URL under which this machine reaches a listening address.
pub(crate) fn url_host(host: &str) -> String {
    match host {
        "0.0.0.0" | "" => "127.0.0.1".to_owned(),
        "::" | "[::]" => "[::1]".to_owned(),
        host if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
        host => host.to_owned(),
    }
}
