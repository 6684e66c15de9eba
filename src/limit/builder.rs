use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::Quota;
use super::address::CallerAddress;
use super::limits::{Inner, RateLimits};
use super::local::Local;
use super::plan::{Plan, check_name};
use super::shared::{Place, Share, SharedRateLimits, Together};
use super::who::{Per, Tell};
use crate::clock::{Clock, SystemClock};
use crate::error::{ConfigError, Problems};
use crate::principal::Principal;

const MOST_CALLERS: usize = 1_000_000;

/// Settings of [`RateLimits`].
#[must_use]
pub struct RateLimitsBuilder {
    plans: Vec<(Arc<str>, Quota)>,
    plan_of: Option<Tell>,
    per: Per,
    anonymous_by: Option<CallerAddress>,
    shared: Option<(Arc<dyn Place>, Share)>,
    most_callers: usize,
    clock: Arc<dyn Clock>,
}

impl RateLimitsBuilder {
    pub(super) fn new(plan: Arc<str>, quota: Quota) -> Self {
        Self {
            plans: vec![(plan, quota)],
            plan_of: None,
            per: Per::default(),
            anonymous_by: None,
            shared: None,
            most_callers: MOST_CALLERS,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// One more plan, for callers whose key's record names it (`ApiKeyRecordBuilder::plan`), or
    /// of whom [`plan_of`](Self::plan_of) says so. Default: the first plan is everybody's, because who is not known to have
    /// more has the least.
    pub fn plan(mut self, name: impl Into<Arc<str>>, quota: Quota) -> Self {
        self.plans.push((name.into(), quota));
        self
    }

    /// Says which plan a caller has; `None` leaves it to the key's record. Default: what the record says, because a token has no
    /// standard claim for it.
    ///
    /// ```
    /// # use tower_resource_server::{Quota, RateLimits, Scope};
    /// const PARTNER: Scope = Scope::from_static("partner");
    ///
    /// let limits = RateLimits::builder("free", Quota::per_minute(60))
    ///     .plan("gold", Quota::per_minute(600))
    ///     .plan_of(|caller| caller.has(&PARTNER).then_some("gold"))
    ///     .build()?;
    /// # Ok::<(), tower_resource_server::ConfigError>(())
    /// ```
    pub fn plan_of(
        mut self,
        plan: impl for<'p> Fn(&'p Principal) -> Option<&'p str> + Send + Sync + 'static,
    ) -> Self {
        self.plan_of = Some(Arc::new(plan));
        self
    }

    /// Counts each API key by itself, so that an owner with two has twice as much; who has no key is counted by identity. Default:
    /// each `Identity` by itself, because keys and tokens are had for the asking; tokens without `sub` by the
    /// client that they name.
    pub fn per_key(mut self) -> Self {
        self.per = Per::Key;
        self
    }

    /// Counts each application by itself, all of its users together: the token's client and issuer. Who has none is counted by
    /// identity, which for an API key is its owner. Default: each identity by itself.
    pub fn per_client(mut self) -> Self {
        self.per = Per::Client;
        self
    }

    /// Counts callers together of whom this tells the same word: a tenant, a region; one word for all lets everybody share. `None`
    /// is counted by identity. Default: each identity by itself, because no caller should feel another.
    pub fn per(
        mut self,
        group: impl for<'p> Fn(&'p Principal) -> Option<&'p str> + Send + Sync + 'static,
    ) -> Self {
        self.per = Per::Group(Arc::new(group));
        self
    }

    /// Counts callers who are anonymous by their address, an IPv6 network of 64 bits as one; those whose address is not known together. They
    /// have a memory of their own of [`most_callers`](Self::most_callers), so strangers with many addresses take no room from callers who
    /// are known. At a [`shared`](Self::shared) place each address takes room until its quota is whole again, however many there are.
    /// Default: all of them together, because only you know what stands in front of the service.
    pub fn anonymous_by(mut self, address: CallerAddress) -> Self {
        self.anonymous_by = Some(address);
        self
    }

    /// Counts at a place that other machines use too, such as `RedisRateLimits`; sets of limits that must not share it need other
    /// plans' names, or another place. `alone` is what part of each quota this machine lets through while that place is out of
    /// reach. Default: each process counts for itself, because only you know of others.
    ///
    /// It needs tokio's timer; without a tokio runtime the machine counts alone. The place has 50 ms for each answer. After three failures in a row it is out of reach, and is asked again by one request in
    /// a second. What a machine lets through is counted here all the while, so that an outage gives nobody a new quota.
    pub fn shared(mut self, place: impl SharedRateLimits, alone: Share) -> Self {
        self.shared = Some((Arc::new(place), alone));
        self
    }

    /// How many callers are remembered at the same time, each until its quota is whole again. Beyond that, new callers share 1,024
    /// counts of each plan: they may be limited sooner than it says. Default: 1,000,000, because that is 53 MB, and who has more callers
    /// than that within a window has room for them.
    pub fn most_callers(mut self, callers: usize) -> Self {
        self.most_callers = callers;
        self
    }

    /// Who tells the time, by its steady count. Default: [`SystemClock`], because tests are the exception.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The limits.
    ///
    /// # Errors
    ///
    /// A quota that lets nobody in or limits nothing, a name that cannot stand in a header or is there twice, a share of nothing, no
    /// room for any caller.
    pub fn build(self) -> Result<RateLimits, ConfigError> {
        self.check()?;
        let alone = self.shared.as_ref().map_or(Share::one_in(1), |(_, alone)| *alone);
        let quotas = self.plans.iter().map(|(_, quota)| match &self.shared {
            Some(_) => quota.one_in(alone.parts()),
            None => *quota,
        });
        let quotas: Vec<Quota> = quotas.collect();
        let local = |name, quotas: &[Quota]| {
            let clock = Arc::clone(&self.clock);
            Local::new(name, quotas.iter().copied(), self.most_callers, clock)
        };
        let strangers = local("anonymous_callers", quotas.get(..1).unwrap_or_default());
        let local = local("rate_limits", &quotas);
        let places = self.plans.iter().enumerate();
        let clock = self.clock;
        Ok(RateLimits::of(Inner {
            places: places
                .map(|(place, (name, _))| (Arc::clone(name), place))
                .collect::<HashMap<_, _>>(),
            plans: self
                .plans
                .into_iter()
                .map(|(name, quota)| Arc::new(Plan::new(name, quota)))
                .collect(),
            plan_of: self.plan_of,
            per: self.per,
            anonymous_by: self.anonymous_by,
            local,
            strangers,
            together: self.shared.map(|(place, _)| Together::new(place, clock)),
            alone: AtomicU64::new(0),
            unknown_plans: AtomicU64::new(0),
        }))
    }

    fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Problems::default();
        for (index, (name, quota)) in self.plans.iter().enumerate() {
            let setter = if index == 0 { "builder" } else { "plan" };
            check_name(name, setter, &mut problems);
            quota.check(setter, &mut problems);
            if self.plans.iter().take(index).any(|(other, _)| other == name) {
                problems.add(setter, format!("there are two plans {name:?}"));
            }
        }
        match &self.shared {
            Some((_, alone)) if alone.parts == 0 => problems.add("shared", "one part in none is no share"),
            Some((_, alone)) => {
                for (_, quota) in &self.plans {
                    quota.one_in(alone.parts()).check("shared", &mut problems);
                }
            }
            None => {}
        }
        if let Some(address) = &self.anonymous_by {
            address.check("anonymous_by", &mut problems);
        }
        if self.most_callers == 0 {
            problems.add("most_callers", "there is no room for anybody");
        }
        problems.into_result()
    }
}

impl fmt::Debug for RateLimitsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitsBuilder")
            .field("plans", &self.plans)
            .field("per", &self.per)
            .field("shared", &self.shared)
            .field("most_callers", &self.most_callers)
            .finish_non_exhaustive()
    }
}
