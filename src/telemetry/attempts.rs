//! What is said about attempts with credentials, where failed ones are counted.

#[cfg(feature = "metrics")]
use super::names;

/// What came of an attempt with a credential.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attempted {
    /// It failed, or its end was not waited for.
    Counted,
    /// Nobody was asked about it.
    Limited,
}

#[allow(unused_variables, reason = "without the feature nothing is counted")]
pub(crate) fn attempt(attempted: Attempted) {
    #[cfg(feature = "metrics")]
    {
        let outcome = match attempted {
            Attempted::Counted => "counted",
            Attempted::Limited => "limited",
        };
        metrics::counter!(names::FAILED_ATTEMPTS, names::OUTCOME => outcome).increment(1);
    }
}
