use std::fmt;

/// What is wrong with a configuration: every problem, not only the first.
///
/// ```text
/// the configuration has 2 problems
///   audience: an empty name is no resource server's
///   leeway: 600s is more than 300s
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    problems: Vec<Problem>,
}

/// One problem of a configuration: which setter, and what is wrong with the value. Never a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The setter to look at.
    pub setter: &'static str,
    /// What is wrong with its value.
    pub message: String,
}

impl ConfigError {
    #[cfg(any(feature = "api-key", feature = "jwt"))]
    pub(crate) fn one(setter: &'static str, message: impl Into<String>) -> Self {
        Self {
            problems: vec![Problem {
                setter,
                message: message.into(),
            }],
        }
    }

    /// Every problem, in the order in which the settings were looked at.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

/// Gathers problems until somebody asks whether there were any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, setter: &'static str, message: impl Into<String>) {
        self.0.push(Problem {
            setter,
            message: message.into(),
        });
    }

    pub(crate) fn into_result(self) -> Result<(), ConfigError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(ConfigError { problems: self.0 })
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [only] => write!(f, "{only}"),
            many => {
                write!(f, "the configuration has {} problems", many.len())?;
                many.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setter, self.message)
    }
}

impl std::error::Error for ConfigError {}
