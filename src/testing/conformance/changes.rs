//! One key: made, changed, ended.

use std::time::Duration;

use super::{HOUR, READ, WRITE, clock, found, start};
use crate::api_key::{
    ApiKeyFormat, ApiKeyRecord, Committed, IssuedKey, KeyChange, KeyDigest, KeyRegistry, KeyUses, NewKey,
    RegistryError,
};
use crate::testing::TestClock;

pub(super) async fn suite<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    a_minted_key_is_there_at_once(make).await;
    what_cannot_be_a_key_is_refused(make).await;
    a_key_made_elsewhere_is_taken_over_once(make).await;
    scopes_are_changed_of_one_key_only(make).await;
    an_end_moves_until_it_has_come(make).await;
    a_revoked_key_is_revoked_and_no_other(make).await;
    a_change_that_was_overtaken_does_nothing(make).await;
    an_id_or_a_digest_is_there_once(make).await;
    uses_are_added_and_change_nothing_else(make).await;
    each_outcome_is_counted_apart(make).await;
    the_time_of_last_use_tells_of_uses_only(make).await;
}

pub(super) fn format() -> ApiKeyFormat {
    ApiKeyFormat::new("sk", "test").expect("two short words")
}

pub(super) fn wanted(owner: &str) -> NewKey {
    NewKey::of(owner).scopes([READ])
}

pub(super) async fn mint<S: KeyRegistry>(keys: &S, wanted: NewKey) -> IssuedKey {
    keys.mint(&format(), wanted).await.expect("a key is minted")
}

pub(super) async fn get<S: KeyRegistry>(keys: &S, id: &str) -> ApiKeyRecord {
    keys.get(id)
        .await
        .expect("the store answers")
        .expect("the key is there")
}

/// The record, by its id and by its digest: both must say the same.
async fn stored<S: KeyRegistry>(keys: &S, key: &ApiKeyRecord) -> ApiKeyRecord {
    let by_id = get(keys, key.id()).await;
    assert_eq!(
        found(keys, key.digest()).await.as_ref(),
        Some(&by_id),
        "a request sees what was changed"
    );
    by_id
}

async fn a_minted_key_is_there_at_once<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let keys = make(clock()).await;
    let full = wanted("robot")
        .name("nightly run")
        .scopes([READ, WRITE])
        .not_before(start() + HOUR)
        .expires_in(2 * HOUR)
        .plan("gold")
        .metadata([("team", "billing")]);
    let issued = mint(&keys, full).await;
    let record = stored(&keys, issued.record()).await;
    assert_eq!(record, *issued.record(), "what was answered is what is stored");
    assert_eq!(*record.digest(), KeyDigest::of(issued.key().expose()));
    assert_eq!(record.start(), Some(issued.key().start()));
    assert_eq!((record.owner(), record.name()), ("robot", Some("nightly run")));
    assert_eq!(record.scopes().as_str(), "orders:read orders:write");
    assert_eq!(
        (record.created_at(), record.not_before()),
        (Some(start()), Some(start() + HOUR))
    );
    assert_eq!(record.expires_at(), Some(start() + 2 * HOUR));
    assert_eq!((record.plan(), record.metadata().len()), (Some("gold"), 1));
    assert_eq!(
        (record.uses(), record.last_used_at(), record.revision()),
        (0, None, 0)
    );
    let second = mint(&keys, wanted("robot")).await;
    assert_ne!(second.record().id(), issued.record().id());
    assert_ne!(second.key().expose(), issued.key().expose());
    assert_eq!(
        second.record().expires_at(),
        None,
        "a key lives until somebody ends it"
    );
    assert_eq!(keys.get("key_unknown").await.expect("the store answers"), None);
}

async fn what_cannot_be_a_key_is_refused<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let keys = make(clock()).await;
    let nonsense = NewKey::of("").name("two\nlines").expires_at(start());
    match keys.mint(&format(), nonsense).await {
        Err(RegistryError::Refused(problems)) => {
            let setters: Vec<_> = problems.problems().iter().map(|problem| problem.setter).collect();
            assert_eq!(setters, ["owner", "name", "expires"], "every problem is told");
        }
        other => assert!(matches!(other, Err(RegistryError::Refused(_))), "{other:?}"),
    }
    assert_eq!(
        keys.list(&crate::api_key::KeyQuery::default())
            .await
            .expect("the store answers"),
        []
    );
}

async fn a_key_made_elsewhere_is_taken_over_once<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let keys = make(clock()).await;
    let digest = KeyDigest::of("made-elsewhere");
    let record = keys
        .import(digest, wanted("old robot"))
        .await
        .expect("it is taken over");
    assert_eq!(stored(&keys, &record).await, record);
    assert_eq!((*record.digest(), record.start()), (digest, None));
    let again = keys.import(digest, wanted("thief")).await;
    assert!(
        matches!(again, Err(RegistryError::Taken)),
        "a key is there once: {again:?}"
    );
    assert_eq!(stored(&keys, &record).await.owner(), "old robot");
}

async fn scopes_are_changed_of_one_key_only<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let keys = make(clock()).await;
    let (mine, other) = (
        mint(&keys, wanted("robot")).await,
        mint(&keys, wanted("robot")).await,
    );
    let id = mine.record().id();
    let answered = keys.set_scopes(id, [WRITE]).await.expect("scopes are changed");
    let record = stored(&keys, mine.record()).await;
    assert_eq!(record, answered, "what was answered is what is stored");
    assert_eq!((record.scopes().as_str(), record.revision()), ("orders:write", 1));
    assert_eq!(
        stored(&keys, other.record()).await,
        *other.record(),
        "no other key is touched"
    );
    let none = keys.set_scopes(id, []).await.expect("scopes are taken away");
    assert!(none.scopes().is_empty() && stored(&keys, &none).await.scopes().is_empty());
    let unknown = keys.set_scopes("key_unknown", [READ]).await;
    assert!(matches!(unknown, Err(RegistryError::Unknown)), "{unknown:?}");
}

async fn an_end_moves_until_it_has_come<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let time = clock();
    let keys = make(time.clone()).await;
    let key = mint(&keys, wanted("robot").expires_in(HOUR)).await;
    let id = key.record().id();
    for end in [start() + 3 * HOUR, start() + 2 * HOUR] {
        let answered = keys.expire(id, end).await.expect("the end is moved");
        assert_eq!(stored(&keys, key.record()).await, answered);
        assert_eq!(answered.expires_at(), Some(end));
    }
    time.advance(2 * HOUR);
    let late = keys.expire(id, start() + 9 * HOUR).await;
    assert!(
        matches!(late, Err(RegistryError::NotLive)),
        "what has ended stays so: {late:?}"
    );
    let late = keys.set_scopes(id, [WRITE]).await;
    assert!(matches!(late, Err(RegistryError::NotLive)), "{late:?}");
    let other = mint(&keys, wanted("robot")).await;
    let now = keys.now();
    keys.expire(other.record().id(), now)
        .await
        .expect("a key is ended at once");
    assert!(!stored(&keys, other.record()).await.is_live(now));
}

async fn a_revoked_key_is_revoked_and_no_other<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let time = clock();
    let keys = make(time.clone()).await;
    let (mine, other) = (
        mint(&keys, wanted("robot")).await,
        mint(&keys, wanted("robot")).await,
    );
    let id = mine.record().id();
    time.advance(Duration::from_secs(5));
    let answered = keys.revoke(id).await.expect("the key is revoked");
    let record = stored(&keys, mine.record()).await;
    assert_eq!(record, answered);
    assert_eq!(
        (record.is_revoked(), record.revoked_at()),
        (true, Some(start() + Duration::from_secs(5)))
    );
    assert_eq!(
        stored(&keys, other.record()).await,
        *other.record(),
        "no other key is touched"
    );
    time.advance(HOUR);
    let again = keys.revoke(id).await.expect("to revoke twice is no mistake");
    assert_eq!(again, record, "the first revocation stands");
    for refused in [
        keys.expire(id, start() + 9 * HOUR).await,
        keys.set_scopes(id, [WRITE]).await,
        keys.rotate(id, &format(), HOUR)
            .await
            .map(|next| next.record().clone()),
    ] {
        assert!(
            matches!(refused, Err(RegistryError::NotLive)),
            "what was revoked stays so: {refused:?}"
        );
    }
    let unknown = keys.revoke("key_unknown").await;
    assert!(matches!(unknown, Err(RegistryError::Unknown)), "{unknown:?}");
}

async fn a_change_that_was_overtaken_does_nothing<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let keys = make(clock()).await;
    let key = mint(&keys, wanted("robot")).await;
    let read = get(&keys, key.record().id()).await;
    keys.set_scopes(read.id(), [WRITE])
        .await
        .expect("somebody is quicker");
    let overtaken = read.to_builder().name("late").build();
    let added = ApiKeyRecord::builder("key_new", "robot", KeyDigest::of("new")).build();
    let mut change = KeyChange::replace(overtaken);
    change.add = Some(added.clone());
    assert_eq!(commit(&keys, &change).await, Committed::Conflict);
    assert_eq!(
        keys.get("key_new").await.expect("the store answers"),
        None,
        "nothing was done of it"
    );
    assert_eq!(found(&keys, added.digest()).await, None);
    let record = stored(&keys, key.record()).await;
    assert_eq!((record.name(), record.scopes().as_str()), (None, "orders:write"));
    let nobody = ApiKeyRecord::builder("key_nobody", "robot", KeyDigest::of("nobody")).build();
    assert_eq!(
        commit(&keys, &KeyChange::replace(nobody)).await,
        Committed::Conflict
    );
    assert_eq!(keys.get("key_nobody").await.expect("the store answers"), None);
}

async fn an_id_or_a_digest_is_there_once<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let keys = make(clock()).await;
    let key = mint(&keys, wanted("robot")).await;
    let record = get(&keys, key.record().id()).await;
    let same_id = ApiKeyRecord::builder(record.id(), "thief", KeyDigest::of("other")).build();
    let same_digest = ApiKeyRecord::builder("key_other", "thief", *record.digest()).build();
    for taken in [same_id, same_digest] {
        assert_eq!(
            commit(&keys, &KeyChange::add(taken.clone())).await,
            Committed::Taken
        );
        let mut with_replace = KeyChange::add(taken);
        with_replace.replace = Some(record.to_builder().name("changed").build());
        assert_eq!(commit(&keys, &with_replace).await, Committed::Taken);
        assert_eq!(stored(&keys, &record).await, record, "nothing was done of it");
    }
}

async fn uses_are_added_and_change_nothing_else<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let keys = make(clock()).await;
    let (mine, other) = (
        mint(&keys, wanted("robot")).await,
        mint(&keys, wanted("robot")).await,
    );
    let (id, second) = (mine.record().id(), other.record().id());
    let read = get(&keys, id).await;
    let later = start() + HOUR;
    for uses in [
        vec![],
        vec![
            KeyUses::new("key_gone", 9, start()),
            KeyUses::new(id, 3, later),
            KeyUses::new(second, 1, start()),
        ],
        vec![KeyUses::new(id, 2, start())],
    ] {
        keys.add_uses(&uses).await.expect("uses are written down");
    }
    let record = get(&keys, id).await;
    assert_eq!(
        (record.uses(), record.last_used_at()),
        (5, Some(later)),
        "the last use is never an earlier one"
    );
    assert_eq!(get(&keys, second).await.uses(), 1);
    assert_eq!(
        record.revision(),
        read.revision(),
        "uses are no change of the record"
    );
    // Who read the record before it was used may still change it, and loses no use.
    assert_eq!(
        commit(&keys, &KeyChange::replace(read.to_builder().name("used").build())).await,
        Committed::Done
    );
    let record = get(&keys, id).await;
    assert_eq!(
        (record.name(), record.uses(), record.last_used_at()),
        (Some("used"), 5, Some(later))
    );
}

async fn each_outcome_is_counted_apart<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let keys = make(clock()).await;
    let (mine, other) = (
        mint(&keys, wanted("robot")).await,
        mint(&keys, wanted("robot")).await,
    );
    let (id, second) = (mine.record().id(), other.record().id());
    let read = get(&keys, id).await;
    for uses in [
        vec![
            KeyUses::new(id, 5, start()).limited(3),
            KeyUses::new(second, 0, start()).refused(7),
        ],
        vec![
            KeyUses::new(id, 1, start()).limited(1).refused(2),
            KeyUses::new("key_gone", 9, start()).limited(9).refused(9),
            KeyUses::new(second, 0, start()).limited(1),
        ],
    ] {
        keys.add_uses(&uses).await.expect("uses are written down");
    }
    let counts = |record: &ApiKeyRecord| (record.uses(), record.limited(), record.refused());
    let record = stored(&keys, &read).await;
    assert_eq!(counts(&record), (6, 4, 2), "each outcome is counted apart");
    assert_eq!(counts(&get(&keys, second).await), (0, 1, 7));
    assert_eq!(
        record.revision(),
        read.revision(),
        "no count is a change of the record"
    );
    // Who read the record before it was used may still change it, and loses no count.
    assert_eq!(
        commit(&keys, &KeyChange::replace(read.to_builder().name("used").build())).await,
        Committed::Done
    );
    assert_eq!(counts(&get(&keys, id).await), (6, 4, 2));
}

async fn the_time_of_last_use_tells_of_uses_only<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let keys = make(clock()).await;
    let key = mint(&keys, wanted("robot")).await;
    let id = key.record().id();
    let without_use = KeyUses::new(id, 0, start() + 2 * HOUR).limited(1).refused(1);
    let last_used = async |uses: KeyUses| {
        keys.add_uses(&[uses]).await.expect("uses are written down");
        get(&keys, id).await.last_used_at()
    };
    assert_eq!(
        last_used(without_use.clone()).await,
        None,
        "a key that was only refused was never used"
    );
    let at = Some(start() + HOUR);
    assert_eq!(last_used(KeyUses::new(id, 1, start() + HOUR)).await, at);
    assert_eq!(
        last_used(without_use).await,
        at,
        "without a use the time of last use stays"
    );
    assert_eq!(get(&keys, id).await.refused(), 2);
}

pub(super) async fn commit<S: KeyRegistry>(keys: &S, change: &KeyChange) -> Committed {
    keys.commit(change).await.expect("the store answers")
}
