//! What is said about decisions, and the one place that says it.
//!
//! | metric | kind | labels | when |
//! |---|---|---|---|
//! | `resource_server_decisions_total` | counter | `outcome`, `method`, `reason` | each authentication that is decided, and each refusal by an authorization layer, an extractor or `require` |
//! | `resource_server_key_fetches_total` | counter | `outcome` | each fetch of an issuer's keys that ends |
//! | `resource_server_key_state` | gauge | `issuer`, `state` | 1 for the state that the keys are in, 0 for the others |
//! | `resource_server_key_fetch_state` | gauge | `issuer`, `state` | the same for the fetch |
//! | `resource_server_api_key_loads_total` | counter | `outcome` | each question of a `CachedKeyStore` to its store that ends |
//! | `resource_server_api_key_requests_total` | counter | `key_id`, `outcome` | only where a `UsageRecorder` is told to: what each key was presented for, added when it was written down |
//! | `resource_server_cache_total` | counter | `cache`, `outcome` | each look into a cache, and each entry that had to make room |
//! | `resource_server_revocation_lag_seconds` | gauge | | whenever the task that hears of revocations has asked: how old what it knows is |
//! | `resource_server_revocations` | gauge | `state` | at the same time: how many orders are known, and how many of them the engine may lack |
//! | `resource_server_audit_dropped_total` | counter | | each record of the audit that found the queue full |
//! | `resource_server_audit_queue` | gauge | | records that wait; set when the sink has answered, and when a record is dropped |
//! | `resource_server_failed_attempts_total` | counter | `outcome` | each attempt that failed where failed ones are counted, and each that nobody was asked about |
//! | `resource_server_rate_limits_total` | counter | `plan`, `outcome`, `by` | each request that a `RateLimitLayer` counts |
//! | `resource_server_rate_limits_shared` | gauge | | 1 while the place where machines count together answers, 0 while it does not; set when that changes |
//! | `resource_server_limited_callers` | gauge | `table` | how many callers a table of limits holds; set when one comes anew, and when some have gone |
//!
//! | label | values |
//! |---|---|
//! | `outcome` | `accepted`, `anonymous`, `refused`; for fetches `ok`, `failed`; for loads `found`, `unknown`, `failed`; for caches `hit`, `miss`, `evicted`; for requests by key `accepted`, `limited`, `refused`; for rate limits `passed`, `limited`; for attempts `counted`, `limited` |
//! | `key_id` | the id of a key's record |
//! | `cache` | `tokens`, `api_keys`, `issuers` |
//! | `plan` | the names that the rate limits were built with |
//! | `by` | who counted: `local`, `shared`, or `alone` where the shared place is out of reach |
//! | `table` | `rate_limits`, `anonymous_callers`, `failed_attempts` |
//! | `method` | `jwt`, `api_key`, `none` |
//! | `reason` | `ok`, or a reason code of [`AuthError`](crate::error::AuthError::reason) |
//!
//! Labels are bounded: never a subject, a key, a `kid` or anything else of a request. The exception is `key_id`, which has to
//! be asked for, and is never the id of a key that no store knows.
//!
//! | event | level | fields | when |
//! |---|---|---|---|
//! | `request refused` | debug; warn for faults of upstream; error for faults of ours | `reason`, `status`, `error` | each refusal |
//! | `keys fetched` | debug | `issuer`, `keys`, `skipped` | an issuer's keys were fetched |
//! | `keys not fetched` | warn | `issuer`, `error` | a fetch failed |
//! | `keys stale` | warn | `issuer` | the life of the keys is over, and they are in use |
//! | `keys too old` | error | `issuer` | they are not used any more |
//! | `key store failed` | warn | `error` | a cached key store is taken to be down |
//! | `key store answers again` | info | | and is up again |
//! | `key changes not heard` | warn | `error` | changes of keys elsewhere are not heard of |
//! | `key changes heard` | info | | they are |
//! | `revocations not heard` | warn | `error` | revocations made elsewhere are not heard of |
//! | `revocations heard` | info | | they are |
//! | `audit not written` | warn | `error` | records of the audit could not be written; they are kept |
//! | `audit written again` | info | | they are |
//! | `rate limits not shared` | warn | `error` | the place where machines count together is out of reach: this one counts alone |
//! | `rate limits shared again` | info | | it is back |
//! | `plan unknown` | warn | `plan` | a caller has a plan that the rate limits were not built with; said once for each of them |
//! | `uses not written` | warn | `error` | the uses of API keys could not be written down; they are kept |

mod attempts;
#[cfg(feature = "rate-limit")]
mod limits;

use std::sync::Arc;

#[cfg(feature = "tracing")]
use crate::error::Fault;
use crate::error::{Refusal, Rejection};
use crate::principal::{By, Method, Refused, Trail};

pub(crate) use attempts::{Attempted, attempt};
#[cfg(feature = "rate-limit")]
pub(crate) use limits::{
    CountedBy, PlanCounters, limited_callers, plan_unknown, rate_limits_alone, rate_limits_shared,
};

/// The names that operators build on. They change only with a major version.
#[cfg(feature = "metrics")]
mod names {
    pub(super) const DECISIONS: &str = "resource_server_decisions_total";
    #[cfg(feature = "remote")]
    pub(super) const KEY_FETCHES: &str = "resource_server_key_fetches_total";
    #[cfg(feature = "remote")]
    pub(super) const KEY_STATE: &str = "resource_server_key_state";
    #[cfg(feature = "remote")]
    pub(super) const FETCH_STATE: &str = "resource_server_key_fetch_state";
    #[cfg(feature = "remote")]
    pub(super) const ISSUER: &str = "issuer";
    #[cfg(any(feature = "remote", feature = "redis"))]
    pub(super) const STATE: &str = "state";
    #[cfg(feature = "stored-keys")]
    pub(super) const API_KEY_LOADS: &str = "resource_server_api_key_loads_total";
    #[cfg(feature = "stored-keys")]
    pub(super) const API_KEY_REQUESTS: &str = "resource_server_api_key_requests_total";
    #[cfg(feature = "stored-keys")]
    pub(super) const KEY_ID: &str = "key_id";
    #[cfg(any(feature = "jwt", feature = "stored-keys"))]
    pub(super) const CACHE: &str = "resource_server_cache_total";
    #[cfg(any(feature = "jwt", feature = "stored-keys"))]
    pub(super) const OF_CACHE: &str = "cache";
    #[cfg(feature = "redis")]
    pub(super) const REVOCATION_LAG: &str = "resource_server_revocation_lag_seconds";
    #[cfg(feature = "redis")]
    pub(super) const REVOCATIONS: &str = "resource_server_revocations";
    #[cfg(feature = "audit")]
    pub(super) const AUDIT_DROPPED: &str = "resource_server_audit_dropped_total";
    #[cfg(feature = "audit")]
    pub(super) const AUDIT_QUEUE: &str = "resource_server_audit_queue";
    pub(super) const FAILED_ATTEMPTS: &str = "resource_server_failed_attempts_total";
    #[cfg(feature = "rate-limit")]
    pub(super) const RATE_LIMITS: &str = "resource_server_rate_limits_total";
    #[cfg(feature = "rate-limit")]
    pub(super) const RATE_LIMITS_SHARED: &str = "resource_server_rate_limits_shared";
    #[cfg(feature = "rate-limit")]
    pub(super) const LIMITED_CALLERS: &str = "resource_server_limited_callers";
    #[cfg(feature = "rate-limit")]
    pub(super) const PLAN: &str = "plan";
    #[cfg(feature = "rate-limit")]
    pub(super) const BY: &str = "by";
    #[cfg(feature = "rate-limit")]
    pub(super) const TABLE: &str = "table";
    pub(super) const OUTCOME: &str = "outcome";
    pub(super) const METHOD: &str = "method";
    pub(super) const REASON: &str = "reason";
}

#[allow(unused_variables, reason = "without the feature nothing is counted")]
fn count(outcome: &'static str, method: Option<Method>, reason: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(
        names::DECISIONS,
        names::OUTCOME => outcome,
        names::METHOD => method.map_or("none", Method::as_str),
        names::REASON => reason
    )
    .increment(1);
}

/// The only thing that is said of most requests, so its names are put together once and for all: nothing is allocated.
#[allow(unused_variables, reason = "without the feature nothing is counted")]
pub(crate) fn accepted(method: Method) {
    #[cfg(feature = "metrics")]
    {
        let key = match method {
            Method::ApiKey => &accepted::API_KEY,
            Method::Jwt => &accepted::JWT,
        };
        metrics::with_recorder(|recorder| recorder.register_counter(key, &accepted::METADATA)).increment(1);
    }
}

#[cfg(feature = "metrics")]
mod accepted {
    use metrics::{Key, Label, Level, Metadata};

    use super::names;

    pub(super) static METADATA: Metadata<'static> =
        Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
    pub(super) static API_KEY: Key = Key::from_static_parts(names::DECISIONS, &API_KEY_LABELS);
    pub(super) static JWT: Key = Key::from_static_parts(names::DECISIONS, &JWT_LABELS);

    static API_KEY_LABELS: [Label; 3] = labels("api_key");
    static JWT_LABELS: [Label; 3] = labels("jwt");

    const fn labels(method: &'static str) -> [Label; 3] {
        [
            Label::from_static_parts(names::OUTCOME, "accepted"),
            Label::from_static_parts(names::METHOD, method),
            Label::from_static_parts(names::REASON, "ok"),
        ]
    }
}

/// What is remembered.
#[cfg(any(feature = "jwt", feature = "stored-keys"))]
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cache {
    #[cfg(feature = "jwt")]
    Tokens,
    #[cfg(feature = "stored-keys")]
    ApiKeys,
    #[cfg(feature = "remote")]
    Issuers,
}

/// What came of a look into it.
#[cfg(any(feature = "jwt", feature = "stored-keys"))]
#[derive(Debug, Clone, Copy)]
pub(crate) enum Looked {
    Hit,
    Miss,
    /// No look: an entry had to make room.
    Evicted,
}

/// Said of most requests, too, so nothing is allocated.
#[cfg(any(feature = "jwt", feature = "stored-keys"))]
#[allow(unused_variables, reason = "without the feature nothing is counted")]
pub(crate) fn cache(cache: Cache, looked: Looked) {
    #[cfg(feature = "metrics")]
    {
        let [hit, miss, evicted] = match cache {
            #[cfg(feature = "jwt")]
            Cache::Tokens => &cached::TOKENS,
            #[cfg(feature = "stored-keys")]
            Cache::ApiKeys => &cached::API_KEYS,
            #[cfg(feature = "remote")]
            Cache::Issuers => &cached::ISSUERS,
        };
        let key = match looked {
            Looked::Hit => hit,
            Looked::Miss => miss,
            Looked::Evicted => evicted,
        };
        metrics::with_recorder(|recorder| recorder.register_counter(key, &accepted::METADATA)).increment(1);
    }
}

#[cfg(all(feature = "metrics", any(feature = "jwt", feature = "stored-keys")))]
mod cached {
    use metrics::{Key, Label};

    use super::names;

    macro_rules! keys {
        ($name:ident, $labels:ident, $cache:literal) => {
            static $labels: [[Label; 2]; 3] = labels($cache);
            pub(super) static $name: [Key; 3] = [
                Key::from_static_parts(names::CACHE, &$labels[0]),
                Key::from_static_parts(names::CACHE, &$labels[1]),
                Key::from_static_parts(names::CACHE, &$labels[2]),
            ];
        };
    }

    #[cfg(feature = "jwt")]
    keys!(TOKENS, TOKENS_LABELS, "tokens");
    #[cfg(feature = "stored-keys")]
    keys!(API_KEYS, API_KEYS_LABELS, "api_keys");
    #[cfg(feature = "remote")]
    keys!(ISSUERS, ISSUERS_LABELS, "issuers");

    const fn labels(cache: &'static str) -> [[Label; 2]; 3] {
        [pair(cache, "hit"), pair(cache, "miss"), pair(cache, "evicted")]
    }

    const fn pair(cache: &'static str, outcome: &'static str) -> [Label; 2] {
        [
            Label::from_static_parts(names::OF_CACHE, cache),
            Label::from_static_parts(names::OUTCOME, outcome),
        ]
    }
}

/// How old what is known of revocations is, how many orders that are, and how many the engine may lack.
#[cfg(feature = "redis")]
#[allow(unused_variables, reason = "without the feature nothing is measured")]
#[allow(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and these are counts of orders"
)]
pub(crate) fn revocations(lag: std::time::Duration, known: usize, owed: usize) {
    #[cfg(feature = "metrics")]
    {
        metrics::gauge!(names::REVOCATION_LAG).set(lag.as_secs_f64());
        metrics::gauge!(names::REVOCATIONS, names::STATE => "known").set(known as f64);
        metrics::gauge!(names::REVOCATIONS, names::STATE => "owed").set(owed as f64);
    }
}

pub(crate) fn anonymous() {
    count("anonymous", None, "ok");
}

/// Tells everybody who listens, and the trail of the request if it is audited. What is left is for the client.
pub(crate) fn refused(
    refusal: Refusal,
    method: Option<Method>,
    trail: Option<&Arc<Trail>>,
    by: By,
) -> Rejection {
    log_refusal(&refusal, method);
    if let Some(trail) = trail {
        trail.refused(Refused {
            reason: refusal.rejection.reason(),
            requirement: refusal.rejection.requirement().map(Box::from),
            key_id: refusal.error.key_id().cloned(),
            by,
        });
    }
    refusal.rejection
}

fn log_refusal(refusal: &Refusal, method: Option<Method>) {
    count("refused", method, refusal.rejection.reason());
    #[cfg(feature = "tracing")]
    {
        let (reason, status) = (refusal.rejection.reason(), refusal.rejection.status().as_u16());
        let error: &(dyn std::error::Error + 'static) = &refusal.error;
        match refusal.rejection.fault() {
            Fault::Client => tracing::debug!(reason, status, error, "request refused"),
            Fault::Upstream => tracing::warn!(reason, status, error, "request refused"),
            Fault::Server => tracing::error!(reason, status, error, "request refused"),
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = &refusal.error;
}

#[cfg(feature = "remote")]
#[allow(unused_variables, reason = "without the features nothing is said")]
pub(crate) fn keys_fetched(issuer: &str, keys: usize, skipped: usize) {
    #[cfg(feature = "metrics")]
    metrics::counter!(names::KEY_FETCHES, names::OUTCOME => "ok").increment(1);
    #[cfg(feature = "tracing")]
    tracing::debug!(issuer, keys, skipped, "keys fetched");
}

#[cfg(feature = "remote")]
#[allow(unused_variables, reason = "without the features nothing is said")]
pub(crate) fn keys_not_fetched(issuer: &str, error: &(dyn std::error::Error + 'static)) {
    #[cfg(feature = "metrics")]
    metrics::counter!(names::KEY_FETCHES, names::OUTCOME => "failed").increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(issuer, error, "keys not fetched");
}

/// How an issuer's keys are now; said whenever the task that keeps them has looked.
#[cfg(feature = "remote")]
#[allow(unused_variables, reason = "without the feature nothing is said")]
pub(crate) fn key_status(issuer: &Arc<str>, keys: &'static str, fetch: &'static str) {
    #[cfg(feature = "metrics")]
    for (metric, now, states) in [
        (names::KEY_STATE, keys, ["none", "fresh", "stale"]),
        (names::FETCH_STATE, fetch, ["idle", "running", "waiting"]),
    ] {
        for state in states {
            let issuer = metrics::SharedString::from(Arc::clone(issuer));
            let value = if state == now { 1.0 } else { 0.0 };
            metrics::gauge!(metric, names::ISSUER => issuer, names::STATE => state).set(value);
        }
    }
}

/// Keys whose life is over are in use, or are too old to be.
#[cfg(feature = "remote")]
#[allow(unused_variables, reason = "without the feature nothing is said")]
pub(crate) fn keys_aged(issuer: &str, keys: &'static str) {
    #[cfg(feature = "tracing")]
    if keys == "stale" {
        tracing::warn!(issuer, "keys stale");
    } else {
        tracing::error!(issuer, "keys too old");
    }
}

/// A question to the store behind a cache has ended. What is answered from memory is not counted a second time: it is
/// among the decisions.
#[cfg(feature = "stored-keys")]
#[allow(unused_variables, reason = "without the feature nothing is counted")]
pub(crate) fn key_loaded(outcome: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(names::API_KEY_LOADS, names::OUTCOME => outcome).increment(1);
}

/// What a key was presented for, now that it was written down. A label value for each key: only for who asked for it.
#[cfg(all(feature = "stored-keys", feature = "metrics"))]
pub(crate) fn key_requests(key_id: &Arc<str>, accepted: u64, limited: u64, refused: u64) {
    for (outcome, count) in [("accepted", accepted), ("limited", limited), ("refused", refused)] {
        if count > 0 {
            let key_id = metrics::SharedString::from(Arc::clone(key_id));
            metrics::counter!(names::API_KEY_REQUESTS, names::KEY_ID => key_id, names::OUTCOME => outcome)
                .increment(count);
        }
    }
}

/// Once, until it answers again.
#[cfg(feature = "stored-keys")]
#[allow(unused_variables, reason = "without the feature nothing is said")]
pub(crate) fn key_store_failed(error: &(dyn std::error::Error + 'static)) {
    #[cfg(feature = "tracing")]
    tracing::warn!(error, "key store failed");
}

#[cfg(feature = "stored-keys")]
pub(crate) fn key_store_answers() {
    #[cfg(feature = "tracing")]
    tracing::info!("key store answers again");
}

/// Once, until they are heard.
#[cfg(feature = "stored-keys")]
#[allow(unused_variables, reason = "without the feature nothing is said")]
pub(crate) fn key_changes_not_heard(error: &(dyn std::error::Error + 'static)) {
    #[cfg(feature = "tracing")]
    tracing::warn!(error, "key changes not heard");
}

#[cfg(feature = "stored-keys")]
pub(crate) fn key_changes_heard() {
    #[cfg(feature = "tracing")]
    tracing::info!("key changes heard");
}

/// Once, until they are heard.
#[cfg(feature = "redis")]
#[allow(unused_variables, reason = "without the feature nothing is said")]
pub(crate) fn revocations_not_heard(error: &(dyn std::error::Error + 'static)) {
    #[cfg(feature = "tracing")]
    tracing::warn!(error, "revocations not heard");
}

#[cfg(feature = "redis")]
pub(crate) fn revocations_heard() {
    #[cfg(feature = "tracing")]
    tracing::info!("revocations heard");
}

/// A record of the audit found the queue full. Dropped records are counted, so that a flood of requests is none of events.
#[cfg(feature = "audit")]
#[allow(unused_variables, reason = "without the feature nothing is counted")]
pub(crate) fn audit_dropped(queued: u64) {
    #[cfg(feature = "metrics")]
    metrics::counter!(names::AUDIT_DROPPED).increment(1);
    audit_queue(queued);
}

/// How many records wait; said whenever a batch was given to the sink, and when one is dropped.
#[cfg(feature = "audit")]
#[allow(
    unused_variables,
    clippy::cast_precision_loss,
    reason = "without the feature nothing is counted; a gauge is a float"
)]
pub(crate) fn audit_queue(queued: u64) {
    #[cfg(feature = "metrics")]
    metrics::gauge!(names::AUDIT_QUEUE).set(queued as f64);
}

/// Once, until they are written.
#[cfg(feature = "audit")]
#[allow(unused_variables, reason = "without the feature nothing is said")]
pub(crate) fn audit_not_written(error: &(dyn std::error::Error + 'static)) {
    #[cfg(feature = "tracing")]
    tracing::warn!(error, "audit not written");
}

#[cfg(feature = "audit")]
pub(crate) fn audit_written_again() {
    #[cfg(feature = "tracing")]
    tracing::info!("audit written again");
}

/// The uses of API keys could not be written down, and are kept.
#[cfg(feature = "stored-keys")]
#[allow(unused_variables, reason = "without the feature nothing is said")]
pub(crate) fn uses_not_written(error: &(dyn std::error::Error + 'static)) {
    #[cfg(feature = "tracing")]
    tracing::warn!(error, "uses not written");
}
