use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use super::rfc3339;
use crate::principal::{Actor, Identity, Method, PrincipalData, Seen};

/// What became of one request: who asked for what, when, and what the answer was.
///
/// There is no credential in it, and nothing of the path, the query, or a header but what the functions of an
/// `AuditLayer` return. Everything that is told of the caller was verified. A clone shares what it tells of
/// the caller.
///
/// Serialized it is one flat object, whose members are listed in the guide's chapter on audits; what is absent is left out.
#[derive(Clone)]
pub struct AuditRecord {
    pub(super) time: SystemTime,
    pub(super) taken: Duration,
    pub(super) http_method: http::Method,
    pub(super) route: Option<Box<str>>,
    pub(super) decision: Decision,
    pub(super) reason: &'static str,
    pub(super) ending: Ending,
    pub(super) status: Option<u16>,
    pub(super) grpc_status: Option<u16>,
    pub(super) caller: Option<Arc<Who>>,
    pub(super) refused_key: Option<Arc<str>>,
    pub(super) requirement: Option<Box<str>>,
    pub(super) address: Option<IpAddr>,
    pub(super) request_id: Option<Box<str>>,
}

/// What was decided about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Decision {
    /// Somebody was authenticated, and nothing refused the request.
    Allowed,
    /// An optional authentication let a caller through who presented nothing, and nothing refused the request.
    Anonymous,
    /// A layer, an extractor or a check in the handler said no.
    Refused,
    /// The request ended, and no authentication stood in its way.
    Unguarded,
    /// The request was cancelled before anything was decided.
    Undecided,
}

impl Decision {
    /// The word in the record's JSON: `allowed`, `anonymous`, `refused`, `unguarded`, `undecided`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Anonymous => "anonymous",
            Self::Refused => "refused",
            Self::Unguarded => "unguarded",
            Self::Undecided => "undecided",
        }
    }
}

/// How a request ended, as far as its audit saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// With an answer; its body may still have been on its way.
    Answered,
    /// With an error of the inner service, from which somebody further outside may have made an answer.
    Failed,
    /// Without: the client went away, a limit on time struck, or the handler panicked.
    Cancelled,
}

impl Ending {
    /// The word in the record's JSON: `answered`, `failed`, `cancelled`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What is told of a caller, copied: records that wait must not keep whole tokens, and the claims in them.
#[derive(Clone)]
pub(super) struct Who {
    identity: Identity,
    client: Option<Box<str>>,
    credential_id: Option<Box<str>>,
    actor: Option<Box<Actor>>,
}

impl Who {
    fn of(data: &PrincipalData) -> Self {
        let copy = |word: Option<&str>| word.map(Box::from);
        Self {
            identity: data.identity.clone(),
            client: copy(data.client.as_deref()),
            credential_id: copy(data.credential_id.as_deref()),
            actor: data.actor.clone(),
        }
    }

    fn credential_id_of(&self, method: Method) -> Option<&str> {
        let id = self.credential_id.as_deref();
        id.filter(|_| self.identity.method() == method)
    }
}

impl AuditRecord {
    /// When the request came.
    pub fn time(&self) -> SystemTime {
        self.time
    }

    /// How long it took until the head of the answer was known, or the request ended without one.
    pub fn taken(&self) -> Duration {
        self.taken
    }

    /// The request's method: `GET`. One that is not standard is cut after 32 bytes.
    pub fn http_method(&self) -> &http::Method {
        &self.http_method
    }

    /// The template of the route, if `AuditLayer::route` gave one.
    pub fn route(&self) -> Option<&str> {
        self.route.as_deref()
    }

    /// What was decided.
    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// The code of [`AuthError::reason`](crate::error::AuthError::reason), as in logs and metrics; `ok` where nothing was refused.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// How the request ended.
    pub fn ending(&self) -> Ending {
        self.ending
    }

    /// The HTTP status of the answer; `None` if there was no answer. A refusal in gRPC is 200, see
    /// [`grpc_status`](Self::grpc_status).
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// The gRPC status, if it stands in the head of the answer, as that of every refusal of this crate does. A method that did
    /// its work tells it behind the body, which is not waited for.
    pub fn grpc_status(&self) -> Option<u16> {
        self.grpc_status
    }

    /// Whom the last authentication let in, also if something refused the request afterwards. `None` for anonymous callers, and
    /// for those whose credential was refused.
    pub fn identity(&self) -> Option<&Identity> {
        self.caller.as_deref().map(|caller| &caller.identity)
    }

    /// How the caller proved who it is.
    pub fn method(&self) -> Option<Method> {
        self.identity().map(Identity::method)
    }

    /// The token's issuer.
    pub fn issuer(&self) -> Option<&str> {
        self.identity()?.issuer()
    }

    /// The token's `sub`, or the API key's owner. As long as it was.
    pub fn subject(&self) -> Option<&str> {
        self.identity()?.subject()
    }

    /// Whether a user is behind it; see [`Identity::is_user`]. `None` where there is no caller.
    pub fn is_user(&self) -> Option<bool> {
        self.identity().map(Identity::is_user)
    }

    /// The application that the token was issued to.
    pub fn client(&self) -> Option<&str> {
        self.caller.as_deref()?.client.as_deref()
    }

    /// The id of the API key's record, which is not the key. Also that of a key which was refused because it is revoked, has
    /// expired, or is not valid yet; then there is no [`identity`](Self::identity).
    pub fn key_id(&self) -> Option<&str> {
        let caller = self.caller.as_deref();
        let accepted = caller.and_then(|caller| caller.credential_id_of(Method::ApiKey));
        self.refused_key.as_deref().or(accepted)
    }

    /// The token's `jti`.
    pub fn token_id(&self) -> Option<&str> {
        self.caller.as_deref()?.credential_id_of(Method::Jwt)
    }

    /// Who acts for the subject.
    pub fn actor(&self) -> Option<&Actor> {
        self.caller.as_deref()?.actor.as_deref()
    }

    /// What the route or the handler asked for that the caller did not meet: `scope="orders:write"`. See
    /// [`Rejection::requirement`](crate::error::Rejection::requirement).
    pub fn requirement(&self) -> Option<&str> {
        self.requirement.as_deref()
    }

    /// Where the request came from, if `AuditLayer::address` gave it.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The request's id, if `AuditLayer::request_id` gave one.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    pub(super) fn seen(&mut self, caller: Option<Seen>) -> Option<Decision> {
        match caller? {
            Seen::Anonymous => Some(Decision::Anonymous),
            Seen::Known(data) => {
                self.caller = Some(Arc::new(Who::of(&data)));
                Some(Decision::Allowed)
            }
        }
    }

    fn written(&self) -> Written<'_> {
        Written {
            time: rfc3339::text(self.time),
            taken_us: u64::try_from(self.taken.as_micros()).unwrap_or(u64::MAX),
            http_method: self.http_method.as_str(),
            route: self.route(),
            decision: self.decision.as_str(),
            reason: self.reason,
            ending: self.ending.as_str(),
            status: self.status,
            grpc_status: self.grpc_status,
            method: self.method().map(Method::as_str),
            issuer: self.issuer(),
            subject: self.subject(),
            user: self.is_user(),
            client: self.client(),
            key_id: self.key_id(),
            token_id: self.token_id(),
            actor: self.actor().map(|actor| WrittenActor {
                subject: actor.subject.as_deref(),
                issuer: actor.issuer.as_deref(),
                client: actor.client.as_deref(),
            }),
            requirement: self.requirement(),
            address: self.address,
            request_id: self.request_id(),
        }
    }
}

/// The members of a record's JSON, in their order. Names change only with a major version.
#[derive(Debug, Serialize)]
#[serde(rename = "AuditRecord")]
struct Written<'r> {
    time: String,
    taken_us: u64,
    http_method: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'r str>,
    decision: &'static str,
    reason: &'static str,
    ending: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<WrittenActor<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requirement: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'r str>,
}

#[derive(Debug, Serialize)]
struct WrittenActor<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'r str>,
}

impl Serialize for AuditRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written().serialize(serializer)
    }
}

/// As what is written, so that nothing else can be seen in it.
impl fmt::Debug for AuditRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written().fmt(f)
    }
}
