//! Several who change the same at once.

use futures_util::future::{join, join_all};

use super::changes::{format, get, mint, wanted};
use super::{HOUR, READ, WRITE, clock, found, start};
use crate::api_key::{KeyQuery, KeyRegistry, KeyUses, RegistryError};
use crate::testing::TestClock;

pub(super) async fn suite<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    no_change_is_lost(make).await;
    one_of_many_rotations_wins(make).await;
    a_key_that_is_rotated_and_revoked_at_once_is_dead(make).await;
    no_use_is_lost(make).await;
    many_are_minted_at_once(make).await;
}

async fn no_change_is_lost<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let keys = make(clock()).await;
    let key = mint(&keys, wanted("robot")).await;
    let id = key.record().id();
    let changes = (0..20).map(|number| {
        let scopes = if number % 2 == 0 {
            vec![READ]
        } else {
            vec![READ, WRITE]
        };
        keys.set_scopes(id, scopes)
    });
    for answer in join_all(changes).await {
        answer.expect("every change comes to pass");
    }
    assert_eq!(
        get(&keys, id).await.revision(),
        20,
        "each acknowledged change is there"
    );
}

async fn one_of_many_rotations_wins<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let keys = make(clock()).await;
    let key = mint(&keys, wanted("robot")).await;
    let format = format();
    let rotations = (0..10).map(|_| keys.rotate(key.record().id(), &format, HOUR));
    let (won, lost): (Vec<_>, Vec<_>) = join_all(rotations).await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 9), "one successor");
    for refused in lost {
        assert!(
            matches!(refused, Err(RegistryError::AlreadyRotated { .. })),
            "{refused:?}"
        );
    }
    let all = keys.list(&KeyQuery::default()).await.expect("the store answers");
    assert_eq!(all.len(), 2, "nobody else's successor is left behind");
}

async fn a_key_that_is_rotated_and_revoked_at_once_is_dead<S: KeyRegistry>(
    make: &impl AsyncFn(TestClock) -> S,
) {
    let keys = make(clock()).await;
    let format = format();
    for _ in 0..5 {
        let key = mint(&keys, wanted("robot")).await;
        let id = key.record().id();
        let (rotated, revoked) = join(keys.rotate(id, &format, HOUR), keys.revoke(id)).await;
        revoked.expect("a revocation comes to pass");
        let record = found(&keys, key.record().digest())
            .await
            .expect("the key is there");
        assert!(record.is_revoked(), "no rotation brings a revoked key back");
        match rotated {
            Ok(next) => assert_eq!(record.rotated_to(), Some(next.record().id())),
            Err(refused) => assert!(matches!(refused, RegistryError::NotLive), "{refused:?}"),
        }
    }
}

async fn no_use_is_lost<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let keys = make(clock()).await;
    let (one, other) = (
        mint(&keys, wanted("robot")).await,
        mint(&keys, wanted("robot")).await,
    );
    let (id, second) = (one.record().id(), other.record().id());
    // In both orders, as two nodes would write them.
    let written = [
        [KeyUses::new(id, 1, start()), KeyUses::new(second, 2, start())],
        [KeyUses::new(second, 2, start()), KeyUses::new(id, 1, start())],
    ];
    let uses = (0..20).map(|number| keys.add_uses(written.get(number % 2).map_or(&[], |uses| uses)));
    let changes = (0..5).map(|_| keys.set_scopes(id, [WRITE]));
    let (uses, changes) = join(join_all(uses), join_all(changes)).await;
    for answer in uses {
        answer.expect("uses are written down");
    }
    for answer in changes {
        answer.expect("a change comes to pass");
    }
    assert_eq!(get(&keys, id).await.uses(), 20);
    assert_eq!(get(&keys, second).await.uses(), 40);
}

async fn many_are_minted_at_once<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let keys = make(clock()).await;
    let format = format();
    let minted = join_all((0..50).map(|_| keys.mint(&format, wanted("robot")))).await;
    for key in minted {
        let key = key.expect("a key is minted");
        assert_eq!(
            found(&keys, key.key().digest()).await.as_ref(),
            Some(key.record())
        );
    }
    let all = keys.list(&KeyQuery::default()).await.expect("the store answers");
    assert_eq!(all.len(), 50);
}
