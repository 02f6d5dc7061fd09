//! The fault proxy: passes bytes between clients and one server, and does what its
//! [`rules`](rule) say to the requests that they meet.
//!
//! Each request travels to the server on a connection of its own, so that no fault of one
//! request touches another. HTTP is read only to know which request it is and where messages
//! end; what is passed on is what came, byte by byte.

mod exchange;
pub mod http1;
pub mod record;
mod relay;
pub mod rule;

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use crate::flaws::Kind;

use self::{
    http1::{Head, Peer},
    record::Record,
    rule::{Armed, Fault, Outage, Rule},
};

/// Restarts the server and tells its new address.
pub type Restart =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<SocketAddr, String>> + Send>> + Send + Sync + 'static>;

/// How long a port that was given up may take to be free again.
const PORT_PATIENCE: Duration = Duration::from_secs(5);

/// A listener on loopback in front of one server. Dropping it ends all its connections.
pub struct Proxy {
    shared: Arc<Shared>,
    accepting: tokio::task::JoinHandle<()>,
}

/// What a proxy needs to know.
pub struct Settings {
    /// The server.
    pub server: SocketAddr,
    /// Origin that redirects to another one lead to, such as `http://127.0.0.1:80`.
    pub foreign: Option<String>,
    /// How the server is restarted.
    pub restart: Option<Restart>,
    /// The flaw that the client is to show.
    pub flaw: Option<Kind>,
}

/// What all connections share.
struct Shared {
    server: Mutex<SocketAddr>,
    address: SocketAddr,
    foreign: Option<String>,
    restart: Option<Restart>,
    flaw: Option<Kind>,
    rules: Mutex<Vec<Armed>>,
    next_rule: AtomicU64,
    /// Rules whose fault was carried out to its end.
    fired: Mutex<HashMap<u64, u64>>,
    /// First halves of swaps, waiting for the second.
    swaps: Mutex<HashMap<u64, oneshot::Sender<()>>>,
    /// Connections whose peer is gone without a word.
    silent: Mutex<Vec<TcpStream>>,
    outages: mpsc::UnboundedSender<(Outage, oneshot::Sender<()>)>,
    /// Why a restart did not work.
    trouble: Mutex<Option<String>>,
    record: Record,
}

impl Proxy {
    /// Listens on a free port.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (outages, orders) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            server: Mutex::new(settings.server),
            address: listener.local_addr()?,
            foreign: settings.foreign,
            restart: settings.restart,
            flaw: settings.flaw,
            rules: Mutex::default(),
            next_rule: AtomicU64::new(0),
            fired: Mutex::default(),
            swaps: Mutex::default(),
            silent: Mutex::default(),
            outages,
            trouble: Mutex::default(),
            record: Record::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), orders));
        Ok(Self { shared, accepting })
    }

    /// Where it listens; the same before and after an outage.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Its origin.
    pub fn origin(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// Where the server is now.
    pub fn server(&self) -> SocketAddr {
        *self.shared.server.lock()
    }

    /// Adds a rule behind the others and returns its number.
    pub fn arm(&self, rule: Rule) -> u64 {
        let id = self.shared.next_rule.fetch_add(1, Ordering::Relaxed);
        self.shared.rules.lock().push(Armed::new(id, rule));
        id
    }

    /// Forgets all rules; what they do to requests under way goes on.
    pub fn disarm(&self) {
        self.shared.rules.lock().clear();
    }

    /// How often the fault of a rule was carried out.
    pub fn fired(&self, rule: u64) -> u64 {
        self.shared.fired.lock().get(&rule).copied().unwrap_or_default()
    }

    /// What came.
    pub fn record(&self) -> &Record {
        &self.shared.record
    }

    /// Begins an outage; resolves when the listener is closed and every connection ended.
    pub async fn outage(&self, outage: Outage) {
        self.shared.outage(outage).await;
    }

    /// What went wrong with the proxy itself, if anything did.
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble.lock().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    /// The fault that meets a request, and its rule.
    fn take(&self, head: &Head) -> Option<(u64, Fault)> {
        let mut rules = self.rules.lock();
        rules.iter_mut().find_map(|armed| armed.meets(head).then(|| (armed.id, armed.rule.fault.clone())))
    }

    fn fire(&self, rule: u64) {
        *self.fired.lock().entry(rule).or_default() += 1;
    }

    async fn outage(&self, outage: Outage) {
        let (done, begun) = oneshot::channel();
        if self.outages.send((outage, done)).is_ok() {
            // Gone only when the proxy is.
            let _ = begun.await;
        }
    }
}

/// Accepts until an outage is ordered, and again behind it.
async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut orders: mpsc::UnboundedReceiver<(Outage, oneshot::Sender<()>)>,
) {
    let mut listener = listener;
    let mut connections = JoinSet::new();
    loop {
        let (outage, begun) = tokio::select! {
            accepted = listener.accept() => {
                if let Ok((socket, _)) = accepted {
                    // Small pieces must travel on their own.
                    let _ = socket.set_nodelay(true);
                    connections.spawn(exchange::connection(Arc::clone(&shared), Peer::new(socket)));
                }
                continue;
            }
            Some(order) = orders.recv() => order,
            // Ended connections need no keeping.
            Some(_) = connections.join_next() => continue,
        };
        drop(listener);
        connections.shutdown().await;
        shared.silent.lock().clear();
        // Whoever asked may have been one of the connections.
        let _ = begun.send(());
        let restarted = async {
            if !outage.restart {
                return;
            }
            match &shared.restart {
                Some(restart) => match restart().await {
                    Ok(address) => *shared.server.lock() = address,
                    Err(why) => *shared.trouble.lock() = Some(format!("the server did not restart: {why}")),
                },
                None => *shared.trouble.lock() = Some("this server cannot be restarted".to_owned()),
            }
        };
        tokio::join!(restarted, tokio::time::sleep(outage.lasts));
        listener = match listen_again(shared.address).await {
            Ok(listener) => listener,
            Err(error) => {
                *shared.trouble.lock() = Some(format!("{} cannot be listened on again: {error}", shared.address));
                return;
            }
        };
    }
}

async fn listen_again(address: SocketAddr) -> io::Result<TcpListener> {
    const PAUSE: Duration = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && waited < PORT_PATIENCE => {
                tokio::time::sleep(PAUSE).await;
                waited += PAUSE;
            }
            bound => return bound,
        }
    }
}
