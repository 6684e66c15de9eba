use std::sync::Arc;

use tower_layer::Layer;

use super::authorize::{Asks, Authorize};
use crate::policy::{PerRequest, RequestTarget, RouteRequirement};
use crate::scope::{Requirement, Scope};

/// Asks that the caller holds certain scopes. It stands behind an authentication layer; how the caller was authenticated
/// does not matter to it.
///
/// Who lacks a scope gets 403 `insufficient_scope`, with all that is wanted in the challenge and what is missing in the
/// body. An anonymous caller gets 401. Without any authentication in front it is a wiring mistake: 500, and never open.
///
/// In axum, a layer on a method router is around all methods that stand before it: write `get(list).layer(a)` and
/// `post(create).layer(b)` as two routes, since in `get(list).layer(a).post(create).layer(b)` the second also holds `get`.
///
/// ```
/// use tower_resource_server::{Scope, ScopeLayer};
///
/// const READ: Scope = Scope::from_static("orders:read");
/// let layer = ScopeLayer::all([READ]);
/// ```
///
/// ```compile_fail
/// use tower_resource_server::ScopeLayer;
///
/// let layer = ScopeLayer::all([]);   // would let everyone in
/// ```
#[derive(Debug, Clone)]
pub struct ScopeLayer {
    asks: Asks,
}

impl ScopeLayer {
    /// Asks for every one of these scopes.
    #[must_use]
    pub fn all<const N: usize>(scopes: [Scope; N]) -> Self {
        Self::new(Requirement::all(scopes))
    }

    /// Asks for at least one of these scopes.
    #[must_use]
    pub fn any<const N: usize>(scopes: [Scope; N]) -> Self {
        Self::new(Requirement::any(scopes))
    }

    /// Asks for what this requirement says: for one made at run time, or with several sets.
    #[must_use]
    pub fn new(requirement: Requirement) -> Self {
        Self {
            asks: Asks::Always(Arc::new(requirement)),
        }
    }

    /// Asks for what this function says that a request needs: for one layer around many routes, or around a gRPC server. Default
    /// for what it does not know should be [`RouteRequirement::Nobody`]: a path that nobody thought of stays closed.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tower_resource_server::{Requirement, RouteRequirement, Scope, ScopeLayer};
    ///
    /// // Made once: the function is called for every request.
    /// let read = Arc::new(Requirement::all([Scope::from_static("orders:read")]));
    /// let write = Arc::new(Requirement::all([Scope::from_static("orders:write")]));
    /// let layer = ScopeLayer::per_request(move |target| match target.grpc_method() {
    ///     Some(("grpc.health.v1.Health", _)) => RouteRequirement::AnyCaller,
    ///     Some(("shop.Orders", "List" | "Get")) => (&read).into(),
    ///     Some(("shop.Orders", _)) => (&write).into(),
    ///     _ => RouteRequirement::Nobody,
    /// });
    /// ```
    #[must_use]
    pub fn per_request(
        needs: impl Fn(RequestTarget<'_>) -> RouteRequirement + Send + Sync + 'static,
    ) -> Self {
        Self {
            asks: Asks::PerRequest(PerRequest::new(needs)),
        }
    }
}

impl<S> Layer<S> for ScopeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize::asking(inner, self.asks.clone())
    }
}
