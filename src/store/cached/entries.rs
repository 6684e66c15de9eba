use std::time::Duration;

use moka::notification::RemovalCause;
use moka::sync::Cache;

use super::front::Settings;
use crate::api_key::{ApiKeyRecord, KeyDigest};
use crate::telemetry::{self, Looked};

/// Digests that are nobody's. They are apart from the known keys, so that junk never takes the place of one.
const MOST_UNKNOWN: u64 = 10_000;
/// More than moka takes.
const LONGEST_KEPT: Duration = Duration::from_secs(365 * 24 * 3600);

/// What the store answered. How old an answer may be is judged by our clock and our rules; moka only lets go of what
/// nobody asks for any more, and of what is too much.
#[derive(Debug)]
pub(super) struct Entries {
    known: Cache<KeyDigest, Known>,
    unknown: Cache<KeyDigest, Read>,
}

#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) record: ApiKeyRecord,
    pub(super) read: Read,
}

/// When something was read: by the clock, and by how often the news had begun to be heard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    pub(super) at: Duration,
    pub(super) epoch: u64,
}

impl Entries {
    pub(super) fn new(settings: &Settings) -> Self {
        let rules = settings.rules;
        let kept = |time: Duration| time.min(LONGEST_KEPT);
        Self {
            known: Cache::builder()
                .max_capacity(settings.capacity)
                .time_to_live(kept(rules.longest_use()))
                .eviction_listener(|_, _, cause| {
                    if cause == RemovalCause::Size {
                        telemetry::cache(telemetry::Cache::ApiKeys, Looked::Evicted);
                    }
                })
                .build(),
            unknown: Cache::builder()
                .max_capacity(MOST_UNKNOWN)
                .time_to_live(kept(rules.unknown_for))
                .build(),
        }
    }

    pub(super) fn known(&self, key: &KeyDigest) -> Option<Known> {
        self.known.get(key)
    }

    pub(super) fn unknown(&self, key: &KeyDigest) -> Option<Read> {
        self.unknown.get(key)
    }

    pub(super) fn put(&self, key: KeyDigest, found: Option<ApiKeyRecord>, read: Read) {
        if let Some(record) = found {
            self.unknown.invalidate(&key);
            self.known.insert(key, Known { record, read });
        } else {
            self.known.invalidate(&key);
            self.unknown.insert(key, read);
        }
    }

    pub(super) fn forget(&self, key: &KeyDigest) {
        self.known.invalidate(key);
        self.unknown.invalidate(key);
    }
}
