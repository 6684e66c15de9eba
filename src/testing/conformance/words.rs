//! What is kept of a record, to the letter.

use super::changes::{commit, get};
use super::{HOUR, READ, WRITE, clock, found, start};
use crate::api_key::{ApiKeyRecord, Committed, KeyChange, KeyDigest, KeyRegistry, KeyUses};
use crate::testing::TestClock;

pub(super) async fn suite<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    a_record_is_replaced_whole(make).await;
    an_id_is_compared_letter_by_letter(make).await;
    large_counts_are_kept(make).await;
}

/// Every word that a record may have.
fn full(id: &str, hours: u32) -> ApiKeyRecord {
    let at = |more: u32| start() + (hours + more) * HOUR;
    ApiKeyRecord::builder(
        id,
        format!("owner {hours}"),
        KeyDigest::of(format!("{id} {hours}")),
    )
    .name(format!("name {hours}"))
    .start(format!("start {hours}"))
    .scopes([READ, WRITE])
    .created_at(at(1))
    .not_before(at(2))
    .expires_at(at(3))
    .revoked_at(at(4))
    .last_used_at(at(5))
    .uses(u64::from(hours))
    .limited(u64::from(hours) + 1)
    .refused(u64::from(hours) + 2)
    .rotated_to(format!("to {hours}"))
    .rotated_from(format!("from {hours}"))
    .plan(format!("plan {hours}"))
    .metadata([("hours", hours.to_string())])
    .build()
}

async fn a_record_is_replaced_whole<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let keys = make(clock()).await;
    let stored = full("key_1", 10);
    assert_eq!(
        commit(&keys, &KeyChange::add(stored.clone())).await,
        Committed::Done
    );
    assert_eq!(get(&keys, "key_1").await, stored, "a record is added whole");
    let other = full("key_1", 20);
    let bare = ApiKeyRecord::builder("key_1", "owner", *stored.digest()).revision(1);
    let mut expected = stored;
    for new in [other, bare.build()] {
        assert_eq!(
            commit(&keys, &KeyChange::replace(new.clone())).await,
            Committed::Done
        );
        expected = expected.replaced_by(&new);
        let record = get(&keys, "key_1").await;
        assert_eq!(
            record.to_builder(),
            expected.to_builder(),
            "all that is replaceable is replaced, and nothing else"
        );
        if new.digest() == expected.digest() {
            assert_eq!(found(&keys, expected.digest()).await, Some(record));
        } else {
            let other = found(&keys, new.digest()).await;
            assert_eq!(other, None, "a key stays the key that it is");
        }
    }
}

async fn an_id_is_compared_letter_by_letter<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let keys = make(clock()).await;
    let ids = ["key_aB", "key_Ab", "key_a", "key_aB1"];
    for id in ids {
        let record = ApiKeyRecord::builder(id, "robot", KeyDigest::of(id)).build();
        assert_eq!(
            commit(&keys, &KeyChange::add(record)).await,
            Committed::Done,
            "{id} is another id"
        );
    }
    for id in ["KEY_AB", "key_ab", "key_", "key_aB ", "key_%", ""] {
        let nobody = keys.get(id).await.expect("the store answers");
        assert_eq!(nobody, None, "{id:?} is nobody's id");
    }
    keys.revoke("key_aB").await.expect("the key is revoked");
    keys.add_uses(&[KeyUses::new("key_Ab", 1, start())])
        .await
        .expect("uses are written down");
    for id in ids {
        let record = get(&keys, id).await;
        let expected = (id, id == "key_aB", u64::from(id == "key_Ab"));
        assert_eq!((record.id(), record.is_revoked(), record.uses()), expected);
    }
}

async fn large_counts_are_kept<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    const LARGE: u64 = 9_007_199_254_740_993; // more than a double can count
    let keys = make(clock()).await;
    let record = ApiKeyRecord::builder("key_1", "robot", KeyDigest::of("one")).revision(LARGE);
    assert_eq!(
        commit(&keys, &KeyChange::add(record.build())).await,
        Committed::Done
    );
    for _ in 0..2 {
        let uses = KeyUses::new("key_1", LARGE, start())
            .limited(LARGE + 1)
            .refused(LARGE + 2);
        keys.add_uses(&[uses]).await.expect("uses are written down");
    }
    let record = keys
        .set_scopes("key_1", [READ])
        .await
        .expect("scopes are changed");
    assert_eq!(record.revision(), LARGE + 1);
    let record = get(&keys, "key_1").await;
    assert_eq!(
        (
            record.uses(),
            record.limited(),
            record.refused(),
            record.revision()
        ),
        (2 * LARGE, 2 * LARGE + 2, 2 * LARGE + 4, LARGE + 1),
        "no count is cut off"
    );
}
