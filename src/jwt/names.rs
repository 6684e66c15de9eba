//! Names that are accepted: a list, or a function that knows them.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// Which names are accepted. Compared to the letter.
#[derive(Clone)]
pub(super) enum Names {
    Listed(HashSet<String>),
    Judged(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl Names {
    pub(super) fn listed<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self::Listed(names.into_iter().map(Into::into).collect())
    }

    pub(super) fn contain(&self, name: &str) -> bool {
        match self {
            Self::Listed(names) => names.contains(name),
            Self::Judged(accepted) => accepted(name),
        }
    }

    /// An empty list, which accepts nobody and so is a mistake.
    pub(super) fn are_none(&self) -> bool {
        matches!(self, Self::Listed(names) if names.is_empty())
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed(names) => f.debug_set().entries(names).finish(),
            Self::Judged(_) => f.write_str("judged by a function"),
        }
    }
}
