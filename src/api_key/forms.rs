use super::ApiKeyFormat;
use super::format::Spelling;
use crate::error::AuthError;

/// What the keys of one layer look like, as far as it was told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Forms {
    known: Vec<ApiKeyFormat>,
    minted_only: bool,
}

impl Forms {
    pub(crate) fn add(&mut self, format: ApiKeyFormat) {
        self.known.push(format);
    }

    pub(crate) fn only_minted(&mut self, format: ApiKeyFormat) {
        self.add(format);
        self.minted_only = true;
    }

    /// Whether a store need be asked for the key at all. No secret decides this: everybody can compute a checksum.
    pub(super) fn check(&self, key: &[u8]) -> Result<(), AuthError> {
        if self.known.is_empty() {
            return Ok(());
        }
        let Some(spelling) = std::str::from_utf8(key).ok().and_then(Spelling::of) else {
            return self.judge_foreign();
        };
        if self.known.iter().any(|format| format.spells(&spelling)) {
            Ok(())
        } else if self.known.iter().any(|format| format.is_elsewhere(&spelling)) {
            Err(AuthError::ApiKeyOfOtherEnvironment)
        } else {
            self.judge_foreign()
        }
    }

    fn judge_foreign(&self) -> Result<(), AuthError> {
        if self.minted_only {
            Err(AuthError::ApiKeyMalformed)
        } else {
            Ok(())
        }
    }
}
