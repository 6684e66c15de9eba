//! Rotation: a key and its successors.

use super::changes::{format, get, mint, wanted};
use super::{HOUR, READ, WRITE, clock, found, start};
use crate::api_key::{ApiKeyRecord, IssuedKey, KeyRegistry, RegistryError};
use crate::testing::TestClock;

pub(super) async fn suite<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    a_successor_works_at_once_and_the_old_key_until_its_grace_ends(make).await;
    a_successor_lives_as_long_as_the_old_key_was_made_for(make).await;
    a_grace_ends_with_the_keys_own_end(make).await;
    a_key_is_rotated_once(make).await;
    no_third_key_of_a_chain_lives(make).await;
}

async fn a_successor_works_at_once_and_the_old_key_until_its_grace_ends<S: KeyRegistry>(
    make: &impl AsyncFn(TestClock) -> S,
) {
    let time = clock();
    let keys = make(time.clone()).await;
    let wish = wanted("robot")
        .scopes([READ, WRITE])
        .name("nightly")
        .plan("gold")
        .metadata([("team", "a")]);
    let (old, bystander) = (mint(&keys, wish).await, mint(&keys, wanted("robot")).await);
    time.advance(HOUR);
    let next = rotate(&keys, old.record(), 24).await;
    let (before, after) = (
        get(&keys, old.record().id()).await,
        get(&keys, next.record().id()).await,
    );
    assert_eq!(after, *next.record(), "what was answered is what is stored");
    assert_eq!(found(&keys, next.key().digest()).await, Some(after.clone()));
    assert_eq!(found(&keys, old.key().digest()).await, Some(before.clone()));
    assert_eq!(
        (before.rotated_to(), after.rotated_from()),
        (Some(after.id()), Some(before.id()))
    );
    assert_eq!(
        before.expires_at(),
        Some(start() + 25 * HOUR),
        "the old key's grace is a day"
    );
    assert_eq!(after.created_at(), Some(start() + HOUR));
    assert_eq!(
        (after.owner(), after.name(), after.plan()),
        ("robot", Some("nightly"), Some("gold"))
    );
    assert_eq!(
        (after.scopes(), after.metadata()),
        (before.scopes(), before.metadata())
    );
    assert_eq!((after.expires_at(), after.uses(), after.revision()), (None, 0, 0));
    assert_ne!(next.key().expose(), old.key().expose());
    assert_eq!(
        get(&keys, bystander.record().id()).await,
        *bystander.record(),
        "no other key is touched"
    );
}

async fn a_successor_lives_as_long_as_the_old_key_was_made_for<S: KeyRegistry>(
    make: &impl AsyncFn(TestClock) -> S,
) {
    let time = clock();
    let keys = make(time.clone()).await;
    let old = mint(&keys, wanted("robot").expires_in(10 * HOUR)).await;
    time.advance(4 * HOUR);
    let next = rotate(&keys, old.record(), 1).await;
    assert_eq!(next.record().expires_at(), Some(start() + 14 * HOUR));
    // The grace has shortened the old key's life, and not what is handed on.
    let third = rotate_after(&time, &keys, next.record()).await;
    assert_eq!(third.record().expires_at(), Some(start() + 16 * HOUR));
}

async fn rotate_after<S: KeyRegistry>(time: &TestClock, keys: &S, key: &ApiKeyRecord) -> IssuedKey {
    time.advance(2 * HOUR);
    rotate(keys, key, 1).await
}

async fn a_grace_ends_with_the_keys_own_end<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let keys = make(clock()).await;
    let old = mint(&keys, wanted("robot").expires_in(2 * HOUR)).await;
    rotate(&keys, old.record(), 24).await;
    assert_eq!(
        get(&keys, old.record().id()).await.expires_at(),
        Some(start() + 2 * HOUR)
    );
    let later = keys.expire(old.record().id(), start() + 3 * HOUR).await;
    assert!(
        matches!(later, Err(RegistryError::AlreadyRotated { .. })),
        "a grace does not grow: {later:?}"
    );
    keys.expire(old.record().id(), start() + HOUR)
        .await
        .expect("a grace may be cut short");
}

async fn a_key_is_rotated_once<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let keys = make(clock()).await;
    let old = mint(&keys, wanted("robot")).await;
    let next = rotate(&keys, old.record(), 24).await;
    let again = keys.rotate(old.record().id(), &format(), HOUR).await;
    match again {
        Err(RegistryError::AlreadyRotated { to }) => assert_eq!(to, next.record().id()),
        other => assert!(
            matches!(other, Err(RegistryError::AlreadyRotated { .. })),
            "{other:?}"
        ),
    }
    let unknown = keys.rotate("key_unknown", &format(), HOUR).await;
    assert!(matches!(unknown, Err(RegistryError::Unknown)), "{unknown:?}");
}

async fn no_third_key_of_a_chain_lives<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let time = clock();
    let keys = make(time.clone()).await;
    let first = mint(&keys, wanted("robot")).await;
    let second = rotate(&keys, first.record(), 24).await;
    let third = keys.rotate(second.record().id(), &format(), HOUR).await;
    match third {
        Err(RegistryError::TwoLive { predecessor }) => assert_eq!(predecessor, first.record().id()),
        other => assert!(matches!(other, Err(RegistryError::TwoLive { .. })), "{other:?}"),
    }
    let still = get(&keys, second.record().id()).await;
    assert_eq!(
        (still.rotated_to(), still.expires_at()),
        (None, None),
        "nothing was done of it"
    );
    // A leak cannot wait: without grace there are two all the same.
    let third = rotate(&keys, second.record(), 0).await;
    assert!(!get(&keys, second.record().id()).await.is_live(keys.now()));
    assert!(get(&keys, first.record().id()).await.is_live(keys.now()));
    // The first one still counts, though it is not the third one's own predecessor.
    let fourth = keys.rotate(third.record().id(), &format(), HOUR).await;
    assert!(
        matches!(&fourth, Err(RegistryError::TwoLive { predecessor }) if predecessor == first.record().id()),
        "{fourth:?}"
    );
    // Once the first one's grace is over, and the second one's was none, the chain goes on as ever.
    time.advance(25 * HOUR);
    let fourth = rotate(&keys, third.record(), 1).await;
    assert!(get(&keys, third.record().id()).await.is_live(keys.now()));
    // Nor does it count once it was revoked.
    keys.revoke(third.record().id())
        .await
        .expect("the key is revoked");
    rotate(&keys, fourth.record(), 1).await;
}

async fn rotate<S: KeyRegistry>(keys: &S, key: &ApiKeyRecord, hours: u32) -> IssuedKey {
    keys.rotate(key.id(), &format(), hours * HOUR)
        .await
        .expect("the key is rotated")
}
