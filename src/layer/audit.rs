use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Extensions, HeaderMap, Method, Request, Response, Uri};
use pin_project_lite::pin_project;
use tower::Service;
use tower_layer::Layer;

use crate::audit::{AuditLog, Open, Told, plain};
use crate::clock::{Clock, SystemClock};
use crate::principal::{Principal, Trail};

/// Keeps a record of every request and what was decided about it, in an [`AuditLog`]. It changes nothing, and no request waits
/// for it.
///
/// It belongs outside of every layer of this crate, and needs none of them. The record is made when the head of the answer is
/// known, when the service behind it fails, or when the request is cancelled: always one. Of two such layers around a request the
/// outer one keeps the record.
///
/// ```
/// use axum::extract::{ConnectInfo, MatchedPath};
/// use std::net::SocketAddr;
/// use tower_resource_server::{AuditLayer, AuditLog, JsonLines};
///
/// let audit = AuditLayer::new(AuditLog::new(JsonLines::new(std::io::stdout())))
///     .route(|request| Some(request.extensions().get::<MatchedPath>()?.as_str().to_owned()))
///     .address(|request| Some(request.extensions().get::<ConnectInfo<SocketAddr>>()?.ip()))
///     .request_id(|request| Some(request.headers().get("x-request-id")?.to_str().ok()?.to_owned()));
/// ```
///
/// The functions are called when the request comes, once each. What they return is written down as it is, but for its length and
/// characters that are not seen: return no path, no query and no credential.
#[derive(Clone)]
pub struct AuditLayer {
    log: AuditLog,
    host: Arc<Host>,
    clock: Arc<dyn Clock>,
}

type Ask<T> = Arc<dyn Fn(AuditRequest<'_>) -> Option<T> + Send + Sync>;

/// What only the host can tell of a request.
#[derive(Clone, Default)]
struct Host {
    route: Option<Ask<String>>,
    address: Option<Ask<IpAddr>>,
    request_id: Option<Ask<String>>,
}

/// A request before anything has been decided about it, for the functions of an [`AuditLayer`].
#[derive(Debug, Clone, Copy)]
pub struct AuditRequest<'r> {
    method: &'r Method,
    uri: &'r Uri,
    headers: &'r HeaderMap,
    extensions: &'r Extensions,
}

impl<'r> AuditRequest<'r> {
    /// The request's method.
    pub fn method(&self) -> &'r Method {
        self.method
    }

    /// Where it goes. A path and a query can hold secrets: write down a template, never them.
    pub fn uri(&self) -> &'r Uri {
        self.uri
    }

    /// What the client says in its headers, which is the client's word and holds its credential.
    pub fn headers(&self) -> &'r HeaderMap {
        self.headers
    }

    /// What the host and the layers further outside know: in axum `MatchedPath`, `ConnectInfo`.
    pub fn extensions(&self) -> &'r Extensions {
        self.extensions
    }
}

impl AuditLayer {
    /// Puts its records into this log.
    #[must_use]
    pub fn new(log: AuditLog) -> Self {
        Self {
            log,
            host: Arc::default(),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Gives the template of the route: `/orders/{id}`. It is cut after 256 bytes, and characters that are not seen are replaced, as
    /// in [`request_id`](Self::request_id). Default: absent, because the router knows it and a path can hold secrets.
    #[must_use]
    pub fn route(
        mut self,
        route: impl Fn(AuditRequest<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Arc::make_mut(&mut self.host).route = Some(Arc::new(route));
        self
    }

    /// Gives the address of the caller. Headers such as `X-Forwarded-For` are the caller's own word, unless a proxy of yours sets
    /// them; a `CallerAddress` (feature `rate-limit`) reads them so. Default: absent, because only the host knows what stands in front of it.
    #[must_use]
    pub fn address(
        mut self,
        address: impl Fn(AuditRequest<'_>) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        Arc::make_mut(&mut self.host).address = Some(Arc::new(address));
        self
    }

    /// Gives the request's id, by which other logs find it. Default: absent, because only the host knows who gives it.
    #[must_use]
    pub fn request_id(
        mut self,
        request_id: impl Fn(AuditRequest<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Arc::make_mut(&mut self.host).request_id = Some(Arc::new(request_id));
        self
    }

    /// Who tells the time. Default: [`SystemClock`], because tests are the exception.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Opens the record of this request, unless a layer further outside has.
    fn open<B>(&self, request: &mut Request<B>) -> Option<Open> {
        if Trail::of(request.extensions()).is_some_and(|trail| trail.is_open()) {
            return None;
        }
        let (log, clock) = (self.log.clone(), Arc::clone(&self.clock));
        let mut open = Open::new(log, clock, request.method(), request.extensions());
        open.tell(self.host.tell(request));
        let extensions = request.extensions_mut();
        extensions.insert(open.trail());
        // Of an authentication further outside: what is asked of it from here on is told as well.
        if let Some(principal) = extensions.get_mut::<Principal>() {
            principal.trail = Some(open.trail());
        }
        Some(open)
    }
}

impl Host {
    fn tell<B>(&self, request: &Request<B>) -> Told {
        let request = AuditRequest {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        };
        let text = |ask: &Option<Ask<String>>| ask.as_ref()?(request).map(|text| plain(&text));
        Told {
            route: text(&self.route),
            address: self.address.as_ref().and_then(|ask| ask(request)),
            request_id: text(&self.request_id),
        }
    }
}

impl<S> Layer<S> for AuditLayer {
    type Service = Audit<S>;

    fn layer(&self, inner: S) -> Audit<S> {
        Audit {
            inner,
            layer: self.clone(),
        }
    }
}

impl fmt::Debug for AuditLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLayer")
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

/// The service of an [`AuditLayer`].
#[derive(Debug, Clone)]
pub struct Audit<S> {
    inner: S,
    layer: AuditLayer,
}

impl<S, B, R> Service<Request<B>> for Audit<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = AuditFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let open = self.layer.open(&mut request);
        AuditFuture {
            response: self.inner.call(request),
            open,
        }
    }
}

pin_project! {
    /// The response of the inner service, whose head is recorded.
    pub struct AuditFuture<F> {
        #[pin]
        response: F,
        open: Option<Open>,
    }
}

impl<F, R, E> Future for AuditFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.response.poll(context));
        if let Some(open) = this.open.take() {
            match &result {
                Ok(response) => open.answered(response),
                Err(_) => open.failed(),
            }
        }
        Poll::Ready(result)
    }
}

impl<F> fmt::Debug for AuditFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditFuture").finish_non_exhaustive()
    }
}
