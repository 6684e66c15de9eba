//! What both servers are: the same routes, over a list of revocations of either kind.

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    ApiKeyLayer, ApiKeyRecord, Clock, FixedKeys, Issuer, JwtLayer, KeyDigest, MemoryKeyStore,
    MemoryRevocations, MintedKey, Principal, RedisRevocations, Revocation, RevocationCheckLayer, Revocations,
    Scope, ScopeLayer, SystemClock,
};

use crate::engine::with_causes;

pub(crate) const LOGIN: &str = "https://login.example.com/";
pub(crate) const API: &str = "https://api.example.com";
/// No token of this issuer lives longer, and by then the key is revoked in its store.
pub(crate) const LONGEST_LIFE: Duration = Duration::from_secs(3600);
const LOG_OUT: Scope = Scope::from_static("sessions:end");

/// What a server must know to judge credentials. Nobody can make one from it: public keys, and digests of random keys.
#[derive(Serialize, Deserialize)]
pub(crate) struct Known {
    jwks: String,
    admin: KnownKey,
    robot: KnownKey,
}

#[derive(Serialize, Deserialize)]
struct KnownKey {
    id: String,
    digest: [u8; 32],
}

impl Known {
    pub(crate) fn new(idp: &TestIssuer, run: &str, admin: &MintedKey, robot: &MintedKey) -> Self {
        let key = |name: &str, key: &MintedKey| KnownKey {
            id: format!("{name}-{run}"),
            digest: *key.digest().as_bytes(),
        };
        Self {
            jwks: idp.jwks(),
            admin: key("key_admin", admin),
            robot: key("key_robot", robot),
        }
    }

    fn issuer(&self) -> Result<Issuer, Box<dyn Error>> {
        let issuer = Issuer::builder(LOGIN).audience(API);
        Ok(issuer.keys(FixedKeys::jwks(&self.jwks)?).build()?)
    }

    fn api_keys(&self) -> MemoryKeyStore {
        let record =
            |key: &KnownKey, owner| ApiKeyRecord::builder(&*key.id, owner, KeyDigest::from_bytes(key.digest));
        let admin = record(&self.admin, "admin").scopes([LOG_OUT]);
        MemoryKeyStore::from_iter([admin.build(), record(&self.robot, "robot").build()])
    }
}

/// A list that can be told. The port only asks: who withdraws, and whether that can fail, differs from list to list.
pub(crate) trait List: Revocations + Clone {
    fn withdraw(&self, what: &Revocation) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

impl List for MemoryRevocations {
    async fn withdraw(&self, what: &Revocation) -> Result<(), Self::Error> {
        self.revoke(what);
        Ok(())
    }
}

impl List for RedisRevocations {
    async fn withdraw(&self, what: &Revocation) -> Result<(), Self::Error> {
        self.revoke(what).await
    }
}

pub(crate) fn app<L: List>(known: &Known, revocations: L) -> Result<Router, Box<dyn Error>> {
    let keys = ApiKeyLayer::new(known.api_keys()).revocations(revocations.clone());
    let either = JwtLayer::new(known.issuer()?)
        .revocations(revocations.clone())
        .or(keys);
    // What cannot be undone asks once more, where revocations are kept.
    let transfer = get(me).layer(RevocationCheckLayer::new(revocations.clone()));
    let log_out = post(log_out::<L>).layer(ScopeLayer::all([LOG_OUT]));
    Ok(Router::new()
        .route("/logout/{what}/{name}", log_out)
        .route("/me", get(me))
        .route("/transfer", transfer)
        .layer(either)
        .with_state(revocations))
}

async fn me(caller: Principal) -> String {
    format!("{}\n", caller.subject().unwrap_or("somebody"))
}

/// 204 only when the list has it.
async fn log_out<L: List>(
    State(revocations): State<L>,
    Path((what, name)): Path<(String, String)>,
) -> Result<StatusCode, (StatusCode, String)> {
    let now = SystemClock::new().now();
    let until = now + LONGEST_LIFE;
    let order = match what.as_str() {
        "token" => Revocation::token(LOGIN, name, until),
        "subject" => Revocation::subject(LOGIN, name, now, until),
        "key" => Revocation::api_key(name, until),
        _ => return Ok(StatusCode::NOT_FOUND),
    };
    let withdrawn = revocations.withdraw(&order).await;
    withdrawn.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, not_withdrawn(&error)))?;
    Ok(StatusCode::NO_CONTENT)
}

/// For an administrator, who may read the causes. It may stand all the same: the answer of the engine can be lost.
fn not_withdrawn(error: &(dyn Error + 'static)) -> String {
    let causes = with_causes(error);
    format!("not known to be withdrawn, ask again, twice does no harm: {causes}\n")
}
