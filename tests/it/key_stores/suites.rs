//! The suites for users' own stores see what they are there to see: each fault here is one that a store might have.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::SystemTime;

use tower_resource_server::testing::conformance;
use tower_resource_server::{
    ApiKeyRecord, Committed, KeyChange, KeyDigest, KeyQuery, KeyRegistry, KeyStore, KeyUses, MemoryKeyStore,
};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    FindsNothing,
    FindsAnybody,
    HidesTheRevoked,
    ForgetsTheName,
    ComparesHalfTheDigest,
    SaysAnotherThingAtOnce,
    NeverConflicts,
    AddsBeforeItLooks,
    TakesADigestTwice,
    ListsEverything,
    ListsBackwards,
    ForgetsTheLimit,
    SetsUses,
    MovesTheLastUseBack,
    CountsUsesAsChanges,
    LosesRevocations,
    FindsWhatItFoundBefore,
    ComparesIdsWithoutCase,
    ComparesTheBeginningOfIds,
    LosesThePredecessor,
    LosesThePlanInAChange,
    KeepsTheNameInAChange,
    ChangesTheDigest,
    ChangesTheUses,
    CutsOffTheRevision,
    CutsOffTheUses,
    CutsOffTheRefused,
    ForgetsTheLimited,
    ForgetsTheRefused,
    LosesTheRefusedInAChange,
    TakesARefusalForAUse,
    TakesARefusalForALaterUse,
    CountsALimitedRequestTwice,
    StopsAtAnUnknownId,
    LooksBeforeItLocks,
    ReplacesBeforeItLooks,
    ListsTheYoungAsUnused,
    ListsTheRevokedAsLive,
    ListsTheAgelessAsYoung,
    BeginsWithTheLastOfThePageBefore,
}

struct Faulty(
    MemoryKeyStore,
    Fault,
    Mutex<HashMap<KeyDigest, Option<ApiKeyRecord>>>,
);

impl Faulty {
    fn new(keys: MemoryKeyStore, fault: Fault) -> Self {
        Self(keys, fault, Mutex::default())
    }

    /// Replaces a record, in a way that a store should not.
    async fn replace(&self, new: &ApiKeyRecord) -> Result<Committed, Infallible> {
        let old = self.0.get(new.id()).await?;
        let Some(old) = old.filter(|old| old.revision() == new.revision()) else {
            return Ok(Committed::Conflict);
        };
        let right = old.replaced_by(new);
        let told = right.to_builder();
        self.0.insert(match self.1 {
            Fault::LosesThePlanInAChange if right.plan().is_some() => told.plan("").build(),
            Fault::KeepsTheNameInAChange if new.name().is_none() && old.name().is_some() => {
                told.name(old.name().unwrap_or("")).build()
            }
            Fault::ChangesTheUses => told.uses(new.uses()).build(),
            Fault::LosesTheRefusedInAChange => told.refused(new.refused()).build(),
            Fault::ChangesTheDigest if new.digest() != old.digest() => {
                self.0.remove(old.digest());
                new.to_builder().revision(right.revision()).build()
            }
            _ => {
                tokio::task::yield_now().await;
                right
            }
        });
        Ok(Committed::Done)
    }

    async fn all(&self) -> Vec<ApiKeyRecord> {
        KeyRegistry::list(&self.0, &KeyQuery::default()).await.unwrap()
    }
}

/// What is added of this, by a store that does not count as it should.
fn miscounted(used: &KeyUses, fault: Fault) -> KeyUses {
    let mut used = used.clone();
    match fault {
        Fault::ForgetsTheLimited => used.limited = 0,
        Fault::ForgetsTheRefused => used.refused = 0,
        Fault::CountsALimitedRequestTwice => used.uses += used.limited,
        _ => {}
    }
    used
}

fn changed(record: &ApiKeyRecord, fault: Fault) -> Option<ApiKeyRecord> {
    match fault {
        Fault::HidesTheRevoked if record.is_revoked() => None,
        Fault::ForgetsTheName => {
            let plain = ApiKeyRecord::builder(record.id(), record.owner(), *record.digest());
            Some(plain.build())
        }
        Fault::CutsOffTheRevision => {
            let revision = record.revision() % (1 << 32);
            Some(record.to_builder().revision(revision).build())
        }
        Fault::CutsOffTheUses => {
            let uses = record.uses() % (1 << 32);
            Some(record.to_builder().uses(uses).build())
        }
        Fault::CutsOffTheRefused => {
            let refused = record.refused() % (1 << 32);
            Some(record.to_builder().refused(refused).build())
        }
        _ => Some(record.clone()),
    }
}

impl KeyStore for Faulty {
    type Error = Infallible;

    async fn find(&self, key: &KeyDigest) -> Result<Option<ApiKeyRecord>, Infallible> {
        let mut all = self.all().await.into_iter();
        Ok(match self.1 {
            Fault::FindsNothing => None,
            Fault::FindsAnybody => all.next(),
            Fault::ComparesHalfTheDigest => {
                all.find(|record| record.digest().as_bytes()[..16] == key.as_bytes()[..16])
            }
            Fault::FindsWhatItFoundBefore => {
                let now = self.0.find(key).await?;
                self.2.lock().unwrap().entry(*key).or_insert(now).clone()
            }
            fault => self.0.find(key).await?.and_then(|record| changed(&record, fault)),
        })
    }

    fn find_now(&self, _: &KeyDigest) -> Option<Result<Option<ApiKeyRecord>, Infallible>> {
        (self.1 == Fault::SaysAnotherThingAtOnce).then_some(Ok(None))
    }
}

impl KeyRegistry for Faulty {
    async fn get(&self, id: &str) -> Result<Option<ApiKeyRecord>, Infallible> {
        let mut all = self.all().await.into_iter();
        Ok(match self.1 {
            Fault::ComparesIdsWithoutCase => all.find(|record| record.id().eq_ignore_ascii_case(id)),
            Fault::ComparesTheBeginningOfIds => all.find(|record| record.id().starts_with(id)),
            fault @ (Fault::CutsOffTheRevision | Fault::CutsOffTheUses | Fault::CutsOffTheRefused) => {
                self.0.get(id).await?.and_then(|record| changed(&record, fault))
            }
            _ => self.0.get(id).await?,
        })
    }

    async fn list(&self, query: &KeyQuery) -> Result<Vec<ApiKeyRecord>, Infallible> {
        let mut asked = query.clone();
        match self.1 {
            Fault::ListsEverything => asked = KeyQuery::default().limit(query.limit),
            Fault::ForgetsTheLimit => asked.limit = usize::MAX,
            Fault::ListsTheYoungAsUnused => asked.unused_since = None,
            Fault::ListsTheRevokedAsLive => asked.live_at = None,
            Fault::BeginsWithTheLastOfThePageBefore => asked.after = None,
            _ => {}
        }
        let mut listed = self.0.list(&asked).await?;
        match (self.1, query) {
            (
                Fault::ListsTheYoungAsUnused,
                KeyQuery {
                    unused_since: Some(limit),
                    ..
                },
            ) => listed.retain(|record| record.last_used_at().is_none_or(|used| used < *limit)),
            (
                Fault::ListsTheRevokedAsLive,
                KeyQuery {
                    live_at: Some(now), ..
                },
            ) => listed.retain(|record| record.expires_at().is_none_or(|end| *now < end)),
            (
                Fault::ListsTheAgelessAsYoung,
                KeyQuery {
                    created_before: Some(_),
                    ..
                },
            ) => listed.retain(|record| record.created_at().is_some()),
            (
                Fault::BeginsWithTheLastOfThePageBefore,
                KeyQuery {
                    after: Some(after), ..
                },
            ) => listed.retain(|record| record.id() >= after.as_str()),
            _ => {}
        }
        if self.1 == Fault::ListsBackwards {
            listed.reverse();
        }
        Ok(listed)
    }

    async fn commit(&self, change: &KeyChange) -> Result<Committed, Infallible> {
        let mut change = change.clone();
        match (self.1, &change.add, &change.replace) {
            (Fault::NeverConflicts, _, Some(new)) => {
                if let Some(old) = self.0.get(new.id()).await? {
                    change.replace = Some(new.to_builder().revision(old.revision()).build());
                }
            }
            (Fault::AddsBeforeItLooks, Some(new), Some(_)) => {
                self.0.insert(new.clone());
                change.add = None;
            }
            (Fault::TakesADigestTwice, Some(new), _) if self.0.get(new.id()).await?.is_none() => {
                self.0.remove(new.digest());
            }
            (Fault::LosesThePredecessor, Some(new), _) if new.rotated_from().is_some() => {
                change.add = Some(new.to_builder().rotated_from("").build());
            }
            (Fault::ReplacesBeforeItLooks, Some(new), Some(changed)) => {
                let added = KeyChange::add(new.clone());
                return match self.0.commit(&KeyChange::replace(changed.clone())).await? {
                    Committed::Done => self.0.commit(&added).await,
                    refused => Ok(refused),
                };
            }
            (
                Fault::LosesThePlanInAChange
                | Fault::KeepsTheNameInAChange
                | Fault::ChangesTheUses
                | Fault::LosesTheRefusedInAChange
                | Fault::ChangesTheDigest
                | Fault::LooksBeforeItLocks,
                None,
                Some(new),
            ) => return self.replace(new).await,
            (Fault::LosesRevocations, _, Some(new)) if new.is_revoked() => return Ok(Committed::Done),
            _ => {}
        }
        self.0.commit(&change).await
    }

    async fn add_uses(&self, uses: &[KeyUses]) -> Result<(), Infallible> {
        for used in uses {
            let Some(record) = self.0.get(&used.id).await? else {
                if self.1 == Fault::StopsAtAnUnknownId {
                    return Ok(());
                }
                continue;
            };
            let told = record.to_builder();
            match self.1 {
                Fault::SetsUses => self
                    .0
                    .insert(told.uses(used.uses).last_used_at(used.last_used_at).build()),
                Fault::MovesTheLastUseBack => {
                    let uses = record.uses() + used.uses;
                    self.0
                        .insert(told.uses(uses).last_used_at(used.last_used_at).build());
                }
                fault => {
                    self.0.add_uses(&[miscounted(used, fault)]).await?;
                    let moves = match fault {
                        Fault::TakesARefusalForAUse => used.uses == 0,
                        Fault::TakesARefusalForALaterUse => used.uses == 0 && record.last_used_at().is_some(),
                        _ => false,
                    };
                    if moves {
                        let told = self.0.get(&used.id).await?.unwrap().to_builder();
                        self.0.insert(told.last_used_at(used.last_used_at).build());
                    }
                    if fault == Fault::CountsUsesAsChanges {
                        let record = self.0.get(&used.id).await?.unwrap();
                        self.0.commit(&KeyChange::replace(record)).await?;
                    }
                }
            }
        }
        Ok(())
    }

    fn now(&self) -> SystemTime {
        self.0.now()
    }
}

/// Runs a suite on a thread of its own, and says what it complained of.
fn complaint(suite: impl Future<Output = ()>) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let run = std::panic::AssertUnwindSafe(|| runtime.block_on(suite));
    let broken = std::panic::catch_unwind(run).err()?;
    let text = broken.downcast_ref::<String>().cloned();
    Some(
        text.or_else(|| Some((*broken.downcast_ref::<&str>()?).to_owned()))
            .unwrap(),
    )
}

fn of_the_store(fault: Fault) -> Option<String> {
    complaint(conformance::key_store(async |records| {
        Faulty::new(MemoryKeyStore::from_iter(records), fault)
    }))
}

fn of_the_registry(fault: Fault) -> Option<String> {
    complaint(conformance::key_registry(async |clock| {
        Faulty::new(MemoryKeyStore::new().clock(clock), fault)
    }))
}

#[test]
fn a_store_without_a_fault_passes_both() {
    assert_eq!(of_the_store(Fault::None), None);
    assert_eq!(of_the_registry(Fault::None), None);
}

#[test]
fn a_faulty_store_is_told_what_it_breaks() {
    for (fault, promise) in [
        (Fault::FindsNothing, "the key is there"),
        (Fault::FindsAnybody, "a key that is not there is not found"),
        (Fault::HidesTheRevoked, "the key is there"),
        (Fault::ForgetsTheName, "comes back whole"),
        (Fault::ComparesHalfTheDigest, "a digest that differs in bit"),
        (
            Fault::SaysAnotherThingAtOnce,
            "what is found at once is what is found",
        ),
        (Fault::CutsOffTheRevision, "comes back whole"),
        (Fault::CutsOffTheUses, "comes back whole"),
        (Fault::CutsOffTheRefused, "comes back whole"),
    ] {
        let complaint = of_the_store(fault).unwrap_or_else(|| panic!("{fault:?} was not seen"));
        assert!(complaint.contains(promise), "{fault:?}: {complaint}");
    }
}

#[test]
fn a_faulty_registry_is_told_what_it_breaks() {
    for (fault, promise) in [
        (Fault::NeverConflicts, "Conflict"),
        (Fault::AddsBeforeItLooks, "nothing was done of it"),
        (Fault::TakesADigestTwice, "a key is there once"),
        (Fault::ListsEverything, "owner: Some"),
        (Fault::ListsBackwards, "limit: 1000"),
        (Fault::ForgetsTheLimit, "a page is not longer than asked for"),
        (Fault::SetsUses, "the last use is never an earlier one"),
        (Fault::MovesTheLastUseBack, "the last use is never an earlier one"),
        (Fault::CountsUsesAsChanges, "uses are no change of the record"),
        (Fault::LosesRevocations, "left == right"),
        (Fault::HidesTheRevoked, "a request sees what was changed"),
        (Fault::FindsWhatItFoundBefore, "a request sees what was changed"),
        (Fault::ComparesIdsWithoutCase, "nobody's id"),
        (Fault::ComparesTheBeginningOfIds, "nobody's id"),
        (Fault::LosesThePredecessor, "a record is added whole"),
        (
            Fault::LosesThePlanInAChange,
            "all that is replaceable is replaced",
        ),
        (
            Fault::KeepsTheNameInAChange,
            "all that is replaceable is replaced",
        ),
        (Fault::ChangesTheDigest, "and nothing else"),
        (Fault::ChangesTheUses, "left == right"),
        (Fault::CutsOffTheRevision, "Contended"),
        (Fault::CutsOffTheUses, "no count is cut off"),
        (Fault::CutsOffTheRefused, "no count is cut off"),
        (Fault::ForgetsTheLimited, "each outcome is counted apart"),
        (Fault::ForgetsTheRefused, "each outcome is counted apart"),
        (Fault::CountsALimitedRequestTwice, "each outcome is counted apart"),
        (Fault::LosesTheRefusedInAChange, "left == right"),
        (Fault::TakesARefusalForAUse, "was never used"),
        (
            Fault::TakesARefusalForALaterUse,
            "without a use the time of last use stays",
        ),
        (Fault::StopsAtAnUnknownId, "the last use is never an earlier one"),
        (Fault::LooksBeforeItLocks, "each acknowledged change is there"),
        (Fault::ReplacesBeforeItLooks, "nothing was done of it"),
        (Fault::ListsTheYoungAsUnused, "unused_since: Some"),
        (Fault::ListsTheRevokedAsLive, "live_at: Some"),
        (Fault::ListsTheAgelessAsYoung, "created_before: Some"),
        (Fault::BeginsWithTheLastOfThePageBefore, "after: Some"),
    ] {
        let complaint = of_the_registry(fault).unwrap_or_else(|| panic!("{fault:?} was not seen"));
        assert!(complaint.contains(promise), "{fault:?}: {complaint}");
    }
}
