use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Extensions, HeaderMap};

use super::address::CallerAddress;
use super::builder::RateLimitsBuilder;
use super::local::Local;
use super::plan::Plan;
use super::shared::Together;
use super::who::{Per, Tell, Who};
use super::{Quota, Taken};
use crate::authenticator::BoxFuture;
use crate::principal::{Caller, Principal};
use crate::telemetry::{self, CountedBy};

/// How often each caller may ask: plans, who has which, and what everybody has used. For a `RateLimitLayer`.
///
/// ```
/// use tower_resource_server::{Quota, RateLimitLayer, RateLimits};
///
/// let limits = RateLimits::builder("free", Quota::per_minute(60))
///     .plan("gold", Quota::per_second(50).at_once(100))
///     .build()?;
/// let layer = RateLimitLayer::new(limits);
/// # Ok::<(), tower_resource_server::ConfigError>(())
/// ```
///
/// A clone counts in the same place: give it to several routes to have them share one quota, or build others to give a route one
/// of its own. What was used is kept in memory, and is forgotten when the process ends.
///
/// Not done: a request costs one, whatever it does; nothing is limited that runs at the same time; nobody's quota can be looked at
/// or given back.
#[derive(Clone)]
pub struct RateLimits(Arc<Inner>);

pub(super) struct Inner {
    pub(super) plans: Box<[Arc<Plan>]>,
    pub(super) places: HashMap<Arc<str>, usize>,
    pub(super) plan_of: Option<Tell>,
    pub(super) per: Per,
    pub(super) anonymous_by: Option<CallerAddress>,
    pub(super) local: Local,
    /// Those of whom only an address is known, who are as many as they like to be.
    pub(super) strangers: Local,
    pub(super) together: Option<Together>,
    pub(super) alone: AtomicU64,
    pub(super) unknown_plans: AtomicU64,
}

/// How a set of limits is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimitsStatus {
    /// How many callers are held in memory: those who have used some of their quota, and others who were not cleared away yet.
    pub callers: usize,
    /// Whether the place where machines count together answers. `None` where there is none.
    pub shared: Option<bool>,
    /// How many requests this machine has counted alone, because that place was out of reach.
    pub counted_alone: u64,
    /// How many requests came of callers whose plan is none of these, and were counted by the plan that is named first.
    pub unknown_plans: u64,
}

/// What became of a request, and by which plan.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) plan: Arc<Plan>,
    pub(crate) taken: Taken,
}

pub(crate) enum Counting {
    Done(Counted),
    Pending(BoxFuture<Counted>),
}

impl RateLimits {
    /// Starts with the plan of everybody who has no other: callers whose key names no plan, or one that is not here, tokens, and
    /// callers who are anonymous. Its name stands in answers: 1 to 64 letters of ASCII.
    pub fn builder(plan: impl Into<Arc<str>>, quota: Quota) -> RateLimitsBuilder {
        RateLimitsBuilder::new(plan.into(), quota)
    }

    /// How they are, for people and for health checks.
    pub fn status(&self) -> RateLimitsStatus {
        let this = &*self.0;
        RateLimitsStatus {
            callers: this.local.callers() + this.strangers.callers(),
            shared: this.together.as_ref().map(|place| !place.is_out_of_reach()),
            counted_alone: this.alone.load(Ordering::Relaxed),
            unknown_plans: this.unknown_plans.load(Ordering::Relaxed),
        }
    }

    pub(super) fn of(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Counts one request.
    pub(crate) fn count(
        &self,
        caller: &Caller<'_>,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Counting {
        let (place, who) = match caller {
            Caller::Known(principal) => (self.0.place_of(principal), self.0.per.who(principal)),
            Caller::Anonymous(_) => {
                let address = self.0.anonymous_by.as_ref();
                let network = address.map(|address| address.network(headers, extensions));
                (0, Who::Anonymous(network))
            }
        };
        let plan = Arc::clone(self.0.plan(place));
        let stranger = matches!(who, Who::Anonymous(Some(_)));
        if self.0.together.is_some() {
            let asked = Asked {
                place,
                stranger,
                name: who.name(&plan.name).into(),
            };
            return Counting::Pending(Box::pin(Arc::clone(&self.0).count_together(plan, asked)));
        }
        let taken = self.0.here(stranger).take(place, &who);
        Counting::Done(Counted::by(CountedBy::Local, plan, taken))
    }
}

impl Inner {
    #[allow(
        clippy::indexing_slicing,
        reason = "the builder begins with a plan, and places are theirs"
    )]
    fn plan(&self, place: usize) -> &Arc<Plan> {
        &self.plans[place]
    }

    /// Whoever has a plan that is not here is limited by the first.
    fn place_of(&self, caller: &Principal) -> usize {
        let told = self.plan_of.as_ref().and_then(|plan_of| plan_of(caller));
        let Some(name) = told.or(caller.plan()) else {
            return 0;
        };
        self.places.get(name).copied().unwrap_or_else(|| {
            if self.unknown_plans.fetch_add(1, Ordering::Relaxed) == 0 {
                telemetry::plan_unknown(name);
            }
            0
        })
    }

    fn here(&self, stranger: bool) -> &Local {
        if stranger { &self.strangers } else { &self.local }
    }

    async fn count_together(self: Arc<Self>, plan: Arc<Plan>, asked: Asked) -> Counted {
        let taken = match &self.together {
            Some(together) => together.take(&asked.name, plan.quota).await,
            None => None,
        };
        let here = || self.here(asked.stranger).take(asked.place, &asked.name);
        let Some(taken) = taken else {
            self.alone.fetch_add(1, Ordering::Relaxed);
            return Counted::by(CountedBy::Alone, plan, here());
        };
        if taken.granted {
            // Counted here as well, so that nobody has a new quota when that place gets out of reach.
            here();
        }
        Counted::by(CountedBy::Shared, plan, taken)
    }
}

/// A request that other machines count too.
struct Asked {
    place: usize,
    stranger: bool,
    name: Arc<str>,
}

impl Counted {
    fn by(by: CountedBy, plan: Arc<Plan>, taken: Taken) -> Self {
        plan.count(by, taken);
        Self { plan, taken }
    }
}

impl fmt::Debug for RateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimits")
            .field("plans", &self.0.plans)
            .field("per", &self.0.per)
            .field("together", &self.0.together)
            .finish_non_exhaustive()
    }
}
