//! The API: one thread, two issuers, one route behind a layer and one without.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;
use http::StatusCode;
use tokio::net::TcpListener;
use tower_resource_server::{
    Algorithm, CachedKeys, Issuer, JwtLayer, Keys, RemoteKeys, Scope, TrustedIssuers,
};

use crate::login::Login;
use crate::tokens::{API, issuer_name};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Where Linux tells what the thread has cost.
    cost: Option<PathBuf>,
}

impl Server {
    pub(crate) fn start(login: &Login) -> Self {
        let (tell, started) = mpsc::channel();
        let issuers = issuers(login);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                issuers.warm_up().await.unwrap();
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                let address = listener.local_addr().unwrap();
                let thread = fs::read_link("/proc/thread-self").ok();
                let cost = thread.map(|thread| PathBuf::from("/proc").join(thread).join("schedstat"));
                tell.send(Self { address, cost }).unwrap();
                let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
                axum::serve(listener, app(issuers)).await.unwrap();
            });
        });
        started.recv().unwrap()
    }

    /// What the thread has cost until now; zero where that is not known.
    pub(crate) fn cpu(&self) -> Duration {
        let text = self.cost.as_ref().and_then(|path| fs::read_to_string(path).ok());
        let nanoseconds = text.and_then(|text| text.split(' ').next()?.parse().ok());
        Duration::from_nanos(nanoseconds.unwrap_or_default())
    }
}

fn app(issuers: TrustedIssuers) -> Router {
    let open = get(async || (StatusCode::UNAUTHORIZED, "nobody is let in here"));
    Router::new()
        .route("/", get(async || "hello"))
        .layer(JwtLayer::new(issuers))
        .route("/open", open)
}

/// One whose keys are renewed by the default rules, and one that rotates a thousand times as often as issuers do, so that
/// its rules must be hastier.
fn issuers(login: &Login) -> TrustedIssuers {
    let steady = RemoteKeys::jwks_uri(login.url("/steady"));
    let hasty = CachedKeys::from(RemoteKeys::jwks_uri(login.url("/hasty")))
        .shortest_life(Duration::from_secs(1))
        .cool_down(Duration::from_millis(100));
    TrustedIssuers::new([issuer("steady", steady), issuer("hasty", hasty)]).unwrap()
}

fn issuer(name: &str, keys: impl Into<Keys>) -> Issuer {
    let issuer = Issuer::builder(issuer_name(name)).audience(API);
    let issuer = issuer.algorithms([Algorithm::Rs256]).keys(keys);
    issuer
        .accepted_scopes([Scope::from_static("orders:read")])
        .build()
        .unwrap()
}
