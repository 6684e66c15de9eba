//! An HTTP server on loopback that does what a test tells it, also badly, and counts who asked for what.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use tokio::sync::{Semaphore, oneshot, watch};

/// Longer than any machine needs: a test that waits for this has failed, and says so instead of hanging.
pub(crate) const PATIENT: Duration = Duration::from_secs(60);

/// Lives on a thread and runtime of its own, so that a test may drop its runtime or stop its time. Ends with this value.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    _alive: oneshot::Sender<()>,
}

struct Shared {
    replies: Mutex<HashMap<String, Reply>>,
    asked: watch::Sender<Vec<String>>,
}

/// What the server answers at one path.
#[derive(Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    gate: Option<Gate>,
}

/// Holds replies back until it is opened.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(crate) fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets everybody through, now and later.
    pub(crate) fn open(&self) {
        self.0.add_permits(1 << 20);
    }

    pub(crate) async fn pass(&self) {
        drop(self.0.acquire().await.unwrap());
    }
}

impl Reply {
    pub(crate) fn json(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.into(),
            gate: None,
        }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::json("{}")
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn held_by(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            replies: Mutex::default(),
            asked: watch::channel(Vec::new()).0,
        });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let (alive, ended) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    result = axum::serve(listener, app).into_future() => result.unwrap(),
                    _ = ended => {}
                }
            });
        });
        Self {
            address,
            shared,
            _alive: alive,
        }
    }

    /// The address of a path; `""` for that of the server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn serve(&self, path: &str, reply: Reply) {
        self.shared.replies.lock().unwrap().insert(path.to_owned(), reply);
    }

    /// Every path and query that was asked for, in order, also those that are not there.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.asked.borrow().clone()
    }

    /// How often a path was asked for.
    pub(crate) fn hits(&self, path: &str) -> usize {
        self.asked().iter().filter(|asked| *asked == path).count()
    }

    /// Waits until a path was asked for this many times.
    pub(crate) async fn was_asked(&self, path: &str, times: usize) {
        let mut asked = self.shared.asked.subscribe();
        let enough = asked.wait_for(|all| all.iter().filter(|one| *one == path).count() >= times);
        let waited = tokio::time::timeout(PATIENT, enough).await;
        waited.expect("it was not asked").unwrap();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().to_string();
    let reply = shared.replies.lock().unwrap().get(&path).cloned();
    let reply = reply.unwrap_or_else(|| Reply::status(404));
    shared.asked.send_modify(|asked| asked.push(path));
    if let Some(gate) = &reply.gate {
        gate.pass().await;
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).unwrap()
}
