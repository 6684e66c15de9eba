//! What is said about limits.

#[cfg(feature = "metrics")]
use std::sync::Arc;

#[cfg(feature = "metrics")]
use metrics::{Key, Label};

#[cfg(feature = "metrics")]
use super::{accepted, names};

/// Who counted a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CountedBy {
    /// This process, which is the only one.
    Local,
    /// All machines together.
    Shared,
    /// This process, because the others are out of reach.
    Alone,
}

/// The counters of one plan, whose names are put together once and for all: nothing is allocated for a request.
#[derive(Debug)]
pub(crate) struct PlanCounters {
    #[cfg(feature = "metrics")]
    keys: [[Key; 2]; 3],
}

impl PlanCounters {
    #[allow(unused_variables, reason = "without the feature nothing is counted")]
    pub(crate) fn new(plan: &str) -> Self {
        Self {
            #[cfg(feature = "metrics")]
            keys: {
                let plan = Arc::<str>::from(plan);
                ["local", "shared", "alone"].map(|by| {
                    ["passed", "limited"].map(|outcome| {
                        let plan = metrics::SharedString::from(Arc::clone(&plan));
                        let labels = vec![
                            Label::new(names::PLAN, plan),
                            Label::from_static_parts(names::OUTCOME, outcome),
                            Label::from_static_parts(names::BY, by),
                        ];
                        Key::from_parts(names::RATE_LIMITS, labels)
                    })
                })
            },
        }
    }

    #[allow(
        unused_variables,
        clippy::unused_self,
        reason = "without the feature nothing is counted"
    )]
    pub(crate) fn count(&self, by: CountedBy, passed: bool) {
        #[cfg(feature = "metrics")]
        {
            let [local, shared, alone] = &self.keys;
            let [pass, limited] = match by {
                CountedBy::Local => local,
                CountedBy::Shared => shared,
                CountedBy::Alone => alone,
            };
            let key = if passed { pass } else { limited };
            metrics::with_recorder(|recorder| recorder.register_counter(key, &accepted::METADATA))
                .increment(1);
        }
    }
}

/// How many callers a table of limits holds; said whenever one comes, and when some have gone.
#[allow(
    unused_variables,
    clippy::cast_precision_loss,
    reason = "without the feature nothing is counted; a gauge is a float"
)]
pub(crate) fn limited_callers(table: &'static str, held: usize) {
    #[cfg(feature = "metrics")]
    metrics::gauge!(names::LIMITED_CALLERS, names::TABLE => table).set(held as f64);
}

/// Once, until the place answers again.
#[allow(unused_variables, reason = "without the features nothing is said")]
pub(crate) fn rate_limits_alone(error: &(dyn std::error::Error + 'static)) {
    shared(0.0);
    #[cfg(feature = "tracing")]
    tracing::warn!(error, "rate limits not shared");
}

/// The first time, and whenever it had not answered.
pub(crate) fn rate_limits_shared(again: bool) {
    shared(1.0);
    #[cfg(feature = "tracing")]
    if again {
        tracing::info!("rate limits shared again");
    }
    #[cfg(not(feature = "tracing"))]
    let _ = again;
}

#[allow(unused_variables, reason = "without the feature nothing is counted")]
fn shared(value: f64) {
    #[cfg(feature = "metrics")]
    metrics::gauge!(names::RATE_LIMITS_SHARED).set(value);
}

/// A plan's name is the record's, so it is said once for each set of limits and not for each request.
#[allow(unused_variables, reason = "without the feature nothing is said")]
pub(crate) fn plan_unknown(plan: &str) {
    #[cfg(feature = "tracing")]
    tracing::warn!(plan, "plan unknown");
}
