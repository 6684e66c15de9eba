use std::fmt;
use std::sync::Arc;

use http::{Method, Uri};

use crate::scope::Requirement;

/// Where a request goes, for a function that says which scopes it needs.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RequestTarget<'r> {
    /// The HTTP method.
    pub method: &'r Method,
    /// As the layer sees it: a router that nests may have cut off the front of the path.
    pub uri: &'r Uri,
}

impl<'r> RequestTarget<'r> {
    /// The path, as it was sent: nothing is decoded, and `//` and `/../` are what they are. Compare it with what your router
    /// compares, or better name the requirement at the route.
    pub fn path(&self) -> &'r str {
        self.uri.path()
    }

    /// The full name of a gRPC service and its method: `/pkg.Service/Method` is `("pkg.Service", "Method")`. `None` for a path of
    /// another form.
    pub fn grpc_method(&self) -> Option<(&'r str, &'r str)> {
        let (service, method) = self.path().strip_prefix('/')?.split_once('/')?;
        let is_name = |name: &str| !name.is_empty() && !name.contains('/');
        (is_name(service) && is_name(method)).then_some((service, method))
    }
}

/// What a request needs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RouteRequirement {
    /// These scopes.
    Scopes(Arc<Requirement>),
    /// Nothing but to be authenticated.
    AnyCaller,
    /// Nobody may: what is not listed is closed. 403.
    Nobody,
}

impl From<Requirement> for RouteRequirement {
    fn from(requirement: Requirement) -> Self {
        Self::Scopes(Arc::new(requirement))
    }
}

impl From<&Arc<Requirement>> for RouteRequirement {
    fn from(requirement: &Arc<Requirement>) -> Self {
        Self::Scopes(Arc::clone(requirement))
    }
}

/// The function of a layer.
#[derive(Clone)]
pub(crate) struct PerRequest(Arc<dyn Fn(RequestTarget<'_>) -> RouteRequirement + Send + Sync>);

impl PerRequest {
    pub(crate) fn new(needs: impl Fn(RequestTarget<'_>) -> RouteRequirement + Send + Sync + 'static) -> Self {
        Self(Arc::new(needs))
    }

    pub(crate) fn of(&self, target: RequestTarget<'_>) -> RouteRequirement {
        (self.0)(target)
    }
}

impl fmt::Debug for PerRequest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PerRequest")
    }
}
