use std::sync::Arc;

use redis::Client;

use super::builder::RedisRevocationsBuilder;
use super::error::RedisRevocationsError;
use super::follower::LONGEST_PAUSE;
use super::node::Node;
use super::status::RedisRevocationsStatus;
use super::wire::{self, Written};
use crate::principal::Method;
use crate::revocation::{CredentialFacts, Index, Revocation, Revocations, Standing};

/// Revocations that every node hears within milliseconds, over Redis or Valkey: requests are judged from memory.
///
/// ```no_run
/// use std::time::{Duration, SystemTime};
/// use tower_resource_server::{RedisRevocations, Revocation};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis::Client::open("redis://127.0.0.1/")?;
/// let revocations = RedisRevocations::new(client);       // .revocations(revocations.clone()) on a layer
/// revocations.warm_up().await?;                          // fails at start if there is no engine
/// let expired = SystemTime::now() + Duration::from_secs(3600);
/// revocations.revoke(&Revocation::token("https://idp.test", "t-123", expired)).await?;
/// # Ok(())
/// # }
/// ```
///
/// Clones are the same list. The engine is one Redis (6 or later) or Valkey that can be written to, with whatever fails over
/// behind its address; TLS and the password are the client's (`rediss://` needs a TLS feature of your own dependency on `redis`).
/// It must not evict keys (`maxmemory-policy noeviction`). Not done: sentinels and clusters are not asked who the primary is.
///
/// # What a node does
///
/// At first use it loads all that the engine holds; until then it lets nobody in (503). From then on it follows a stream.
/// After a lost connection it goes on from where it was, so nothing is missed. If the engine came back empty, is older than
/// what the node knows, or no longer has the news in between, the node loads everything anew and puts back what it holds.
/// While it cannot hear it does what [`deaf_for`](RedisRevocationsBuilder::deaf_for) says; what it knows to be revoked stays
/// refused.
///
/// # What can still be lost
///
/// A revocation whose `revoke` returned `Ok` lives for as long as the engine that has it, and for as long as any node that
/// issued it or heard it and comes back to the engine. So it is lost if the engine loses it (it dies without persistence, or a
/// replica takes over that did not have it) *and* every node that knew it ends before it could put it back: with one node, if
/// both die within the same moment. [`replicas`](RedisRevocationsBuilder::replicas) narrows that, and so does
/// `appendfsync always`. From the engine's loss until a node that knows has returned to it, a node that starts anew does not
/// know, and lets through what was revoked. A primary that was replaced and neither knows that nor closes its connections goes on
/// telling its listeners that there is nothing new. Nobody notices when single entries are deleted from the engine by hand.
///
/// An entry leaves the engine ten minutes after its time, by the engine's clock, when something else is revoked. A runtime that
/// is kept and never polled again keeps the task that listens: the node is deaf until that runtime is dropped.
#[derive(Debug, Clone)]
pub struct RedisRevocations {
    node: Arc<Node>,
}

impl RedisRevocations {
    /// A list over this engine, with the default settings. Nothing is connected yet.
    pub fn new(client: Client) -> Self {
        Self::builder(client).build()
    }

    /// A list over this engine, with settings.
    pub fn builder(client: Client) -> RedisRevocationsBuilder {
        RedisRevocationsBuilder::new(client)
    }

    pub(super) fn of(node: Node) -> Self {
        Self { node: Arc::new(node) }
    }

    /// Connects, and waits until all that the engine holds was loaded once. A new engine is not believed by routes that ask it
    /// (`RevocationCheckLayer`) for 3 seconds more. An error is that of the first attempt which fails;
    /// further ones are made all the same, 0.1 to 2 seconds apart.
    pub async fn warm_up(&self) -> Result<(), RedisRevocationsError> {
        let mut progress = self.node.progress();
        let failures = progress.borrow().failures;
        if !self.node.follow() {
            return Err(RedisRevocationsError::NoRuntime);
        }
        let ended = progress
            .wait_for(|progress| progress.loaded || progress.failures != failures)
            .await;
        match ended {
            Ok(progress) if progress.loaded => Ok(()),
            Ok(progress) => Err(progress
                .failure
                .clone()
                .unwrap_or(RedisRevocationsError::NoRuntime)),
            Err(_) => Err(RedisRevocationsError::NoRuntime),
        }
    }

    /// Withdraws, here and on every node that hears. Returns when the engine has it: the next request here notices, and
    /// requests elsewhere within milliseconds.
    ///
    /// After an error the caller does not know whether it stands, and should ask again, which is safe: an order that is
    /// given twice counts once. Only [`TooFewReplicas`](RedisRevocationsError::TooFewReplicas) says that it does stand. An
    /// engine that does not answer is given up after 4 seconds, replicas after 3 more.
    pub async fn revoke(&self, revocation: &Revocation) -> Result<(), RedisRevocationsError> {
        self.node.follow();
        let order = Written::of(revocation);
        self.node.engine.revoke(&order).await?;
        self.node.revoked(revocation);
        let wanted = self.node.replicas;
        if wanted == 0 {
            return Ok(());
        }
        let had = self.node.engine.replicated(&order, wanted).await;
        if had < wanted {
            return Err(RedisRevocationsError::TooFewReplicas { wanted, had });
        }
        Ok(())
    }

    /// How it is, for a page about health.
    pub fn status(&self) -> RedisRevocationsStatus {
        self.node.status()
    }

    /// What this node knows of it, however old that is.
    fn known(&self, credential: &CredentialFacts<'_>) -> Standing {
        self.node.index.standing(credential, self.node.relaxed)
    }

    /// A token without a name must be refused if anybody of that kind is withdrawn, and for that there is no name to ask for.
    fn may_be_anybodys(&self, credential: &CredentialFacts<'_>) -> bool {
        let relaxed = self.node.relaxed;
        credential.method == Method::Jwt
            && (credential.subject.is_none() && !relaxed.without_subject
                || credential.client.is_none() && !relaxed.without_client)
    }
}

const UNHEARD: Standing = Standing::Unheard {
    retry_after: LONGEST_PAUSE,
};

impl Revocations for RedisRevocations {
    type Error = RedisRevocationsError;

    /// What is revoked stays so, however long ago that was heard.
    fn standing(&self, credential: &CredentialFacts<'_>) -> Standing {
        self.node.follow();
        match self.known(credential) {
            Standing::Good if self.node.is_too_deaf() => UNHEARD,
            known => known,
        }
    }

    /// The engine is asked for what it holds about this credential, which is judged as on any other route; what this node
    /// knows to be revoked is refused without asking. Whether tokens without a subject or client must be refused, no name can
    /// be asked for: that goes by what this node hears, and it must hear now. The engine has 4 seconds. It must be a primary,
    /// and complete: a new one, or one that came back empty, is believed 3 seconds after the first node has come to it, or later,
    /// when nobody has put anything back for 10 seconds. One that came back with less than it had, and not empty, is believed until a
    /// node that knows more has come back to it.
    async fn confirm(&self, credential: &CredentialFacts<'_>) -> Result<Standing, RedisRevocationsError> {
        self.node.follow();
        let known = self.known(credential);
        let names = names(credential);
        if known != Standing::Good || names.is_empty() {
            return Ok(known);
        }
        if self.may_be_anybodys(credential) && !self.node.hears_now() {
            return Ok(UNHEARD);
        }
        let entries = self.node.engine.entries(&names).await?;
        let found = Index::new(Arc::clone(&self.node.clock));
        for (name, entry) in names.iter().zip(entries) {
            for order in entry
                .iter()
                .flat_map(|entry| wire::orders(name.as_bytes(), entry))
            {
                found.apply(&order.ok_or(RedisRevocationsError::Unreadable)?);
            }
        }
        Ok(found.standing(credential, self.node.relaxed))
    }
}

/// What entries that concern this credential are called.
fn names(credential: &CredentialFacts<'_>) -> Vec<String> {
    let mut names = Vec::with_capacity(4);
    match (credential.method, credential.issuer) {
        (Method::ApiKey, _) => names.extend(credential.id.map(|id| wire::name(&["key", id]))),
        (Method::Jwt, Some(issuer)) => {
            names.push(wire::name(&["issuer", issuer]));
            let parts = [
                ("token", credential.id),
                ("subject", credential.subject),
                ("client", credential.client),
            ];
            for (kind, name) in parts {
                names.extend(name.map(|name| wire::name(&[kind, issuer, name])));
            }
        }
        (Method::Jwt, None) => {}
    }
    names
}
