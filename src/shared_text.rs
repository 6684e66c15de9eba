//! Words of one principal in one allocation.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};
use std::sync::Arc;

use smallvec::SmallVec;

/// A part of a text that others have parts of too. Behaves as the string that it is.
#[derive(Clone, Default)]
pub(crate) struct SharedStr {
    whole: Arc<str>,
    part: Range<usize>,
}

impl Deref for SharedStr {
    type Target = str;

    fn deref(&self) -> &str {
        self.whole.get(self.part.clone()).unwrap_or_default()
    }
}

impl From<Arc<str>> for SharedStr {
    fn from(whole: Arc<str>) -> Self {
        let part = 0..whole.len();
        Self { whole, part }
    }
}

impl From<&SharedStr> for Arc<str> {
    /// Copies only a part.
    fn from(text: &SharedStr) -> Self {
        if text.part == (0..text.whole.len()) {
            Self::clone(&text.whole)
        } else {
            Self::from(&**text)
        }
    }
}

impl From<String> for SharedStr {
    fn from(text: String) -> Self {
        Self::from(Arc::<str>::from(text))
    }
}

impl PartialEq for SharedStr {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for SharedStr {}

impl PartialOrd for SharedStr {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SharedStr {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for SharedStr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for SharedStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// A text to be shared, while it is written. Most have room on the stack.
#[derive(Default)]
pub(crate) struct SharedText {
    written: SmallVec<[u8; 512]>,
}

impl SharedText {
    pub(crate) fn write(&mut self, text: &str) {
        self.written.extend_from_slice(text.as_bytes());
    }

    /// Where the next part begins.
    pub(crate) fn end(&self) -> usize {
        self.written.len()
    }

    /// Writes a part, and says where it stands.
    pub(crate) fn add(&mut self, part: &str) -> Range<usize> {
        let start = self.end();
        self.write(part);
        start..self.end()
    }

    /// The text as a whole, of which parts can be had.
    pub(crate) fn finish(self) -> SharedStr {
        // Only strings were written.
        let text = std::str::from_utf8(&self.written).unwrap_or_default();
        Arc::<str>::from(text).into()
    }
}

impl SharedStr {
    pub(crate) fn part(&self, part: Range<usize>) -> Self {
        Self {
            whole: Arc::clone(&self.whole),
            part,
        }
    }
}
