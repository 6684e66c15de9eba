//! Scopes, sets of them, and what a route asks for.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::shared_text::{SharedStr, SharedText};

/// Why a word is no scope, or a list of scopes no requirement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidScope {
    /// The word breaks the grammar of RFC 6749 section 3.3.
    #[error("{0:?} is not one or more visible ASCII characters without \" and \\")]
    Malformed(String),
    /// A requirement without a scope would let everyone in.
    #[error("a requirement names at least one scope in each of its sets")]
    EmptyRequirement,
}

/// One permission word, such as `orders:read`.
///
/// The grammar is that of `scope-token` in RFC 6749 section 3.3: one or more visible ASCII characters, without `"` and
/// `\`. Case matters.
///
/// ```
/// use tower_resource_server::Scope;
///
/// const READ: Scope = Scope::from_static("orders:read");
/// assert_eq!(READ.as_str(), "orders:read");
/// assert!(Scope::new("orders read").is_err());
/// ```
///
/// A malformed word in a constant does not build:
///
/// ```compile_fail
/// use tower_resource_server::Scope;
///
/// const READ: Scope = Scope::from_static("orders read");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Cow<'static, str>);

impl Scope {
    /// A scope known when the program is written.
    ///
    /// # Panics
    ///
    /// When `word` is not a scope. In a `const` that is a compile error, which is where this belongs; for words that
    /// come from elsewhere use [`Scope::new`].
    #[must_use]
    #[allow(
        clippy::panic,
        reason = "`from_static` is the one place that may: in a const it is a compile error"
    )]
    pub const fn from_static(word: &'static str) -> Self {
        assert!(
            is_scope_token(word.as_bytes()),
            "a scope is one or more visible ASCII characters without \" and \\"
        );
        Self(Cow::Borrowed(word))
    }

    /// A scope read at run time. The error says what is wrong with the word.
    pub fn new(word: impl Into<String>) -> Result<Self, InvalidScope> {
        let word = word.into();
        if is_scope_token(word.as_bytes()) {
            Ok(Self(Cow::Owned(word)))
        } else {
            Err(InvalidScope::Malformed(word))
        }
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(crate) const fn is_scope_token(mut bytes: &[u8]) -> bool {
    if bytes.is_empty() {
        return false;
    }
    while let [first, rest @ ..] = bytes {
        if !matches!(first, 0x21 | 0x23..=0x5b | 0x5d..=0x7e) {
            return false;
        }
        bytes = rest;
    }
    true
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::new(word)
    }
}

impl Borrow<str> for Scope {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

/// The scopes that a principal holds.
///
/// Kept as one line of words, so that a set read from a token costs one allocation at most and a question costs none.
/// Two sets are equal when they hold the same words, in whatever order.
#[derive(Clone, Default)]
pub struct ScopeSet {
    words: SharedStr,
}

impl ScopeSet {
    /// The set without any scope.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads the `scope` parameter's form: words between single spaces. What is no scope word grants nothing and is
    /// left out; so is every word that `keep` refuses.
    pub(crate) fn parse<'t>(texts: impl Iterator<Item = &'t str>, keep: impl Fn(&str) -> bool) -> Self {
        let mut words = SharedText::default();
        Self::write(texts, keep, &mut words);
        Self::of_words(words.finish())
    }

    /// The same, as a part of a text that is being written: for [`of_words`](Self::of_words).
    pub(crate) fn write<'t>(
        texts: impl Iterator<Item = &'t str>,
        keep: impl Fn(&str) -> bool,
        into: &mut SharedText,
    ) -> Range<usize> {
        let start = into.end();
        for word in texts.flat_map(|text| text.split(' ')) {
            if is_scope_token(word.as_bytes()) && keep(word) {
                if into.end() > start {
                    into.write(" ");
                }
                into.write(word);
            }
        }
        start..into.end()
    }

    /// The set that was written.
    pub(crate) fn of_words(words: SharedStr) -> Self {
        Self { words }
    }

    /// Whether the set holds this scope.
    pub fn contains(&self, scope: &Scope) -> bool {
        self.holds(scope.as_str())
    }

    fn holds(&self, word: &str) -> bool {
        // By bytes, which is quicker for words so short; a scope is never empty, as an empty set's one word would be.
        let mut words = self.words.as_bytes().split(|byte| *byte == b' ');
        words.any(|mine| mine == word.as_bytes())
    }

    /// Whether the set holds none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The scopes as words, in the order in which they were granted.
    pub fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        self.words.split(' ').filter(|word| !word.is_empty())
    }

    /// The set as one line, as in the `scope` parameter.
    pub fn as_str(&self) -> &str {
        &self.words
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let scopes: Vec<Scope> = scopes.into_iter().collect();
        Self::parse(scopes.iter().map(Scope::as_str), |_| true)
    }
}

impl PartialEq for ScopeSet {
    fn eq(&self, other: &Self) -> bool {
        self.iter().all(|word| other.holds(word)) && other.iter().all(|word| self.holds(word))
    }
}

impl Eq for ScopeSet {}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// What a route asks for: all of a set, or all of any one of several sets.
///
/// There is no empty requirement: a route that asks for nothing needs no layer, and one that was meant to ask for
/// something must not fall open.
///
/// ```
/// use tower_resource_server::{Requirement, Scope};
///
/// const READ: Scope = Scope::from_static("orders:read");
/// const WRITE: Scope = Scope::from_static("orders:write");
/// const ADMIN: Scope = Scope::from_static("admin");
///
/// let either = Requirement::all([READ, WRITE]).or_all([ADMIN]);
/// assert!(either.is_met_by(&[ADMIN].into_iter().collect()));
/// assert!(!either.is_met_by(&[READ].into_iter().collect()));
/// ```
///
/// ```compile_fail
/// use tower_resource_server::Requirement;
///
/// let nothing = Requirement::all([]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    alternatives: Vec<Vec<Scope>>,
}

impl Requirement {
    /// Every one of these scopes.
    #[must_use]
    pub fn all<const N: usize>(scopes: [Scope; N]) -> Self {
        const { assert!(N > 0, "a requirement names at least one scope") };
        Self {
            alternatives: vec![scopes.into()],
        }
    }

    /// At least one of these scopes.
    #[must_use]
    pub fn any<const N: usize>(scopes: [Scope; N]) -> Self {
        const { assert!(N > 0, "a requirement names at least one scope") };
        Self {
            alternatives: scopes.into_iter().map(|scope| vec![scope]).collect(),
        }
    }

    /// Or else every one of these.
    #[must_use]
    pub fn or_all<const N: usize>(mut self, scopes: [Scope; N]) -> Self {
        const { assert!(N > 0, "a requirement names at least one scope") };
        self.alternatives.push(scopes.into());
        self
    }

    /// A requirement made at run time, of one or more sets of one or more scopes each. An empty one is an error.
    pub fn any_of_sets<S, I>(sets: S) -> Result<Self, InvalidScope>
    where
        S: IntoIterator<Item = I>,
        I: IntoIterator<Item = Scope>,
    {
        let alternatives: Vec<Vec<Scope>> = sets.into_iter().map(|set| set.into_iter().collect()).collect();
        if alternatives.is_empty() || alternatives.iter().any(Vec::is_empty) {
            return Err(InvalidScope::EmptyRequirement);
        }
        Ok(Self { alternatives })
    }

    /// Whether a principal with these scopes may pass.
    pub fn is_met_by(&self, held: &ScopeSet) -> bool {
        self.alternatives
            .iter()
            .any(|set| set.iter().all(|scope| held.contains(scope)))
    }

    /// What is missing towards the first alternative, which is the one that challenges name.
    pub(crate) fn missing_from(&self, held: &ScopeSet) -> ScopeSet {
        self.first()
            .iter()
            .filter(|scope| !held.contains(scope))
            .cloned()
            .collect()
    }

    pub(crate) fn alternatives(&self) -> &[Vec<Scope>] {
        &self.alternatives
    }

    /// The first alternative: the one that challenges name.
    pub(crate) fn first(&self) -> &[Scope] {
        self.alternatives.first().map_or(&[], Vec::as_slice)
    }
}
