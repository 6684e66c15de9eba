//! What is withdrawn of those whose credentials are many.

use std::time::SystemTime;

use super::order::Cut;
use super::{CredentialFacts, Standing};

/// Which of them, and until when that counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Dated {
    pub(super) cut: Cut,
    pub(super) until: SystemTime,
}

/// All that was ordered, less what another order says too. Each cut keeps its own end, so that one that has ended is not
/// brought back by a later one.
#[derive(Debug, Clone)]
pub(super) struct Rule(Vec<Dated>);

impl Rule {
    pub(super) fn of(cut: Dated) -> Self {
        Self(vec![cut])
    }

    pub(super) fn with(&self, cut: Dated) -> Self {
        if self.0.iter().any(|one| one.covers(&cut)) {
            return self.clone();
        }
        let kept = self.0.iter().filter(|one| !cut.covers(one));
        Self(kept.copied().chain([cut]).collect())
    }

    pub(super) fn cuts(&self) -> &[Dated] {
        &self.0
    }

    pub(super) fn counts(&self, now: SystemTime) -> bool {
        self.0.iter().any(|one| now < one.until)
    }

    /// `timeless`: tokens without `iat` are let through.
    pub(super) fn standing(&self, token: &CredentialFacts<'_>, timeless: bool, now: SystemTime) -> Standing {
        let mut standing = Standing::Good;
        for one in self.0.iter().filter(|one| now < one.until) {
            match (one.cut, token.issued_at) {
                (Cut::BelowVersion(least), _) if token.version.is_some_and(|version| version >= least) => {}
                (Cut::IssuedUntil(time), Some(issued)) if time < issued => {}
                (Cut::IssuedUntil(_), None) if timeless => {}
                (Cut::IssuedUntil(_), None) => standing = Standing::Untellable("iat"),
                _ => return Standing::Revoked,
            }
        }
        standing
    }
}

impl Dated {
    /// Whether it withdraws all that the other one does, and for as long.
    fn covers(&self, other: &Self) -> bool {
        let more = match (self.cut, other.cut) {
            (Cut::IssuedUntil(mine), Cut::IssuedUntil(theirs)) => mine >= theirs,
            (Cut::BelowVersion(mine), Cut::BelowVersion(theirs)) => mine >= theirs,
            _ => false,
        };
        more && self.until >= other.until
    }
}
