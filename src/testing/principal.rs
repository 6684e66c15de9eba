use std::any::{Any, TypeId};
use std::sync::Arc;

use crate::challenge::{Challenge, Challenges, Realm, Scheme};
use crate::principal::{Door, Identity, Method, Principal, PrincipalData};
use crate::scope::Scope;

/// Builds a principal without any credential, to test a handler by itself: put it into the request's extensions.
///
/// ```
/// use axum::http::Request;
/// use tower_resource_server::{Principal, Scope, testing::PrincipalBuilder};
///
/// let alice = PrincipalBuilder::token("https://idp.test", "alice").scopes([Scope::from_static("orders:read")]).build();
/// let request = Request::builder().extension(alice).body(()).unwrap();
/// assert_eq!(request.extensions().get::<Principal>().unwrap().subject(), Some("alice"));
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct PrincipalBuilder {
    data: PrincipalData,
    claims_type: Option<TypeId>,
}

impl PrincipalBuilder {
    /// A caller with a token.
    pub fn token(issuer: impl Into<String>, subject: impl Into<String>) -> Self {
        Self::of(Method::Jwt, Some(issuer.into()), subject.into())
    }

    /// A caller with an API key.
    pub fn api_key(key_id: impl Into<String>, owner: impl Into<String>) -> Self {
        let mut builder = Self::of(Method::ApiKey, None, owner.into());
        builder.data.credential_id = Some(key_id.into().into());
        builder
    }

    fn of(method: Method, issuer: Option<String>, subject: String) -> Self {
        let user = method == Method::Jwt;
        let identity = Identity {
            method,
            user,
            issuer: issuer.map(Arc::from),
            subject: Some(subject.into()),
        };
        Self {
            data: PrincipalData::new(identity),
            claims_type: None,
        }
    }

    /// What it may do.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        self.data.scopes = scopes.into_iter().collect();
        self
    }

    /// The application that acts. One that is the subject itself is no user.
    pub fn client(mut self, client: impl Into<String>) -> Self {
        let client = client.into();
        self.data.identity.user &= self.data.identity.subject() != Some(client.as_str());
        self.data.client = Some(client.into());
        self
    }

    /// The plan that the record of an API key names.
    pub fn plan(mut self, plan: impl Into<String>) -> Self {
        self.data.plan = Some(plan.into().into());
        self
    }

    /// The claims that a handler reads as a type.
    pub fn claims<C: Send + Sync + 'static>(mut self, claims: C) -> Self {
        self.data.claims = Some(Arc::new(claims) as Arc<dyn Any + Send + Sync>);
        self.claims_type = Some(TypeId::of::<C>());
        self
    }

    /// The principal.
    pub fn build(self) -> Principal {
        let scheme = if self.data.identity.method == Method::ApiKey {
            Scheme::ApiKey
        } else {
            Scheme::Bearer
        };
        let challenges = Challenges::new([Challenge::new(scheme, &Realm::default())]);
        let door = Door::new(challenges, self.claims_type.into_iter().collect());
        Principal::new(Arc::new(self.data), Arc::new(door), scheme)
    }
}
