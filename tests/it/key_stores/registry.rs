//! What the registry refuses, whatever the store: the suites have what it does.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tower_resource_server::testing::TestClock;
use tower_resource_server::{
    ApiKeyFormat, ApiKeyRecord, Clock, KeyDigest, KeyQuery, KeyRegistry, KeyUses, MemoryKeyStore, NewKey,
    RegistryError,
};

const HOUR: Duration = Duration::from_secs(3600);

fn format() -> ApiKeyFormat {
    ApiKeyFormat::new("sk", "test").unwrap()
}

fn clock() -> TestClock {
    TestClock::starting_at(UNIX_EPOCH + Duration::from_secs(1_800_000_000))
}

fn year_10_000() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(253_402_300_800)
}

/// The setters that are complained of.
async fn problems_of(wanted: NewKey) -> Vec<&'static str> {
    match MemoryKeyStore::new().clock(clock()).mint(&format(), wanted).await {
        Ok(_) => Vec::new(),
        Err(RegistryError::Refused(refused)) => refused.problems().iter().map(|one| one.setter).collect(),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_wish_that_cannot_be_a_key_is_refused_with_every_reason() {
    let (now, wish) = (clock().now(), || NewKey::of("robot"));
    let many = (0..51).map(|number| (number.to_string(), ""));
    for (wanted, setters) in [
        (wish(), vec![]),
        (NewKey::of("r".repeat(200)), vec![]),
        (NewKey::of("\u{e9}".repeat(200)), vec![]),
        (NewKey::of("r".repeat(201)), vec!["owner"]),
        (NewKey::of(""), vec!["owner"]),
        (NewKey::of("forged\nline"), vec!["owner"]),
        (wish().name(""), vec!["name"]),
        (wish().plan("\u{7}"), vec!["plan"]),
        (wish().metadata(many), vec!["metadata"]),
        (wish().metadata([("", "x")]), vec!["metadata"]),
        (wish().metadata([("a", "\0")]), vec!["metadata"]),
        (wish().metadata([("a", "x".repeat(1_000))]), vec!["metadata"]),
        (wish().metadata([("a", "x".repeat(999))]), vec![]),
        (wish().expires_at(now), vec!["expires"]),
        (wish().expires_in(Duration::ZERO), vec!["expires"]),
        (wish().expires_in(Duration::from_micros(999)), vec!["expires"]),
        (wish().expires_in(Duration::from_millis(1)), vec![]),
        (wish().expires_in(Duration::MAX), vec!["expires"]),
        (wish().expires_at(year_10_000()), vec!["expires"]),
        (wish().expires_at(year_10_000() - HOUR), vec![]),
        (wish().not_before(year_10_000()), vec!["not_before"]),
        (wish().not_before(now + HOUR).expires_in(HOUR), vec!["not_before"]),
        (wish().not_before(UNIX_EPOCH), vec![]),
        (
            NewKey::of("")
                .name("")
                .plan("")
                .metadata([("", "")])
                .expires_in(Duration::MAX),
            vec!["owner", "name", "plan", "metadata", "expires"],
        ),
    ] {
        let text = format!("{wanted:?}");
        assert_eq!(problems_of(wanted).await, setters, "{text}");
    }
}

#[tokio::test]
async fn no_time_is_kept_that_a_database_could_not_write() {
    let keys = MemoryKeyStore::new().clock(clock());
    let key = keys.mint(&format(), NewKey::of("robot")).await.unwrap();
    let id = key.record().id();
    for refused in [
        keys.expire(id, year_10_000()).await,
        keys.rotate(id, &format(), Duration::MAX)
            .await
            .map(|next| next.record().clone()),
        keys.rotate(id, &format(), 100_000_000 * HOUR)
            .await
            .map(|next| next.record().clone()),
    ] {
        assert!(matches!(refused, Err(RegistryError::Refused(_))), "{refused:?}");
    }
    let untouched = keys.get(id).await.unwrap().unwrap();
    assert_eq!(untouched, *key.record());
}

#[tokio::test]
async fn times_are_kept_to_the_millisecond() {
    let odd = UNIX_EPOCH + Duration::new(1_800_000_000, 123_456_789);
    let even = UNIX_EPOCH + Duration::new(1_800_000_000, 123_000_000);
    let keys = MemoryKeyStore::new().clock(TestClock::starting_at(odd));
    let wish = NewKey::of("robot")
        .not_before(odd + HOUR)
        .expires_at(odd + 2 * HOUR);
    let key = keys.mint(&format(), wish).await.unwrap();
    let times = |record: &ApiKeyRecord| (record.created_at(), record.not_before(), record.expires_at());
    assert_eq!(
        times(key.record()),
        (Some(even), Some(even + HOUR), Some(even + 2 * HOUR))
    );
    let ended = keys.expire(key.record().id(), odd + HOUR).await.unwrap();
    assert_eq!(ended.expires_at(), Some(even + HOUR));
    let revoked = keys.revoke(key.record().id()).await.unwrap();
    assert_eq!(revoked.revoked_at(), Some(even));
}

#[tokio::test]
async fn the_successor_of_a_key_that_does_not_tell_its_age_lives_as_long_as_that_had_left() {
    let clock = clock();
    let keys = MemoryKeyStore::new().clock(clock.clone());
    let now = clock.now();
    for (id, created) in [
        ("unknown", None),
        ("at its end", Some(now + 5 * HOUR)),
        ("later than its end", Some(now + 9 * HOUR)),
    ] {
        let told = ApiKeyRecord::builder(id, "robot", KeyDigest::of(id)).expires_at(now + 5 * HOUR);
        keys.insert(created.map_or(told.clone(), |at| told.created_at(at)).build());
        let next = keys.rotate(id, &format(), HOUR).await.unwrap();
        assert_eq!(next.record().expires_at(), Some(now + 5 * HOUR));
    }
}

#[tokio::test]
async fn a_key_whose_time_has_not_come_may_be_changed() {
    let clock = clock();
    let keys = MemoryKeyStore::new().clock(clock.clone());
    let wish = NewKey::of("robot").not_before(clock.now() + HOUR);
    let key = keys.mint(&format(), wish).await.unwrap();
    keys.set_scopes(key.record().id(), []).await.unwrap();
    keys.expire(key.record().id(), clock.now() + 2 * HOUR)
        .await
        .unwrap();
    let next = keys.rotate(key.record().id(), &format(), HOUR).await.unwrap();
    assert_eq!(next.record().not_before(), None, "a successor works at once");
}

#[tokio::test]
async fn a_key_in_its_last_millisecond_is_live_and_then_it_is_not() {
    let clock = clock();
    let keys = MemoryKeyStore::new().clock(clock.clone());
    let key = keys
        .mint(&format(), NewKey::of("robot").expires_in(HOUR))
        .await
        .unwrap();
    clock.advance(Duration::from_millis(3_599_999));
    keys.set_scopes(key.record().id(), []).await.unwrap();
    clock.advance(Duration::from_millis(1));
    let late = keys.set_scopes(key.record().id(), []).await;
    assert!(matches!(late, Err(RegistryError::NotLive)), "{late:?}");
}

#[tokio::test]
async fn errors_name_ids_and_nothing_else() {
    let keys = MemoryKeyStore::new();
    let old = keys.mint(&format(), NewKey::of("robot")).await.unwrap();
    let next = keys.rotate(old.record().id(), &format(), HOUR).await.unwrap();
    let again = keys.rotate(old.record().id(), &format(), HOUR).await.unwrap_err();
    assert_eq!(
        again.to_string(),
        format!("the API key was rotated to {}", next.record().id())
    );
    let third = keys
        .rotate(next.record().id(), &format(), HOUR)
        .await
        .unwrap_err();
    let predecessor = old.record().id();
    assert_eq!(
        third.to_string(),
        format!("the predecessor {predecessor} is still in its grace: revoke it, or rotate without grace")
    );
    let printed = format!("{old:?} {next:?} {again:?} {third:?}");
    for issued in [&old, &next] {
        let hidden = &issued.key().expose()[issued.key().start().len()..];
        assert!(!printed.contains(hidden), "{printed}");
    }
    assert_eq!(
        keys.revoke("key_0").await.unwrap_err().to_string(),
        "no API key has this id"
    );
}

#[tokio::test]
async fn ids_are_in_the_order_of_their_making_and_words_of_their_own() {
    let clock = clock();
    let keys = MemoryKeyStore::new().clock(clock.clone());
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.push(
            keys.mint(&format(), NewKey::of("robot"))
                .await
                .unwrap()
                .record()
                .id()
                .to_owned(),
        );
        clock.advance(Duration::from_millis(17));
    }
    assert!(ids.is_sorted(), "{ids:?}");
    for id in ids {
        let digits = id.strip_prefix("key_").unwrap();
        assert!(
            digits.len() == 19 && digits.bytes().all(|digit| digit.is_ascii_alphanumeric()),
            "{id}"
        );
    }
}

/// How many keys of this owner are live.
async fn live(keys: &MemoryKeyStore, now: SystemTime) -> usize {
    let query = KeyQuery::default().owner("robot").live_at(now);
    keys.list_all(query).await.unwrap().len()
}

#[tokio::test]
async fn whatever_is_done_to_a_chain_no_third_key_of_it_lives() {
    let clock = clock();
    let mut random = fastrand::Rng::with_seed(5);
    let (mut most, mut refused) = (0, 0);
    for _ in 0..200 {
        let keys = MemoryKeyStore::new().clock(clock.clone());
        let wish = NewKey::of("robot");
        let wish = if random.bool() {
            wish.expires_in(9 * HOUR)
        } else {
            wish
        };
        let mut chain = vec![keys.mint(&format(), wish).await.unwrap().record().id().to_owned()];
        for _ in 0..30 {
            let id = chain[random.usize(chain.len().saturating_sub(3)..chain.len())].clone();
            match random.u8(0..8) {
                0..=4 => match keys.rotate(&id, &format(), random.u32(0..4) * HOUR).await {
                    Ok(next) => chain.push(next.record().id().to_owned()),
                    Err(_) => refused += 1,
                },
                5 => drop(keys.expire(&id, clock.now() + random.u32(0..6) * HOUR).await),
                6 if random.u8(0..4) == 0 => drop(keys.revoke(&id).await),
                _ => clock.advance(random.u32(0..90) * HOUR / 60),
            }
            let live = live(&keys, clock.now()).await;
            assert!(live <= 2, "{chain:?}");
            most = most.max(live);
        }
    }
    assert!(most == 2 && refused > 100, "the chains were put to the test");
}

#[tokio::test]
async fn records_that_name_each_other_in_a_circle_end_the_search_for_predecessors() {
    let clock = clock();
    let keys = MemoryKeyStore::new().clock(clock.clone());
    for (id, from) in [("one", "two"), ("two", "one"), ("three", "two"), ("four", "gone")] {
        let told = ApiKeyRecord::builder(id, "robot", KeyDigest::of(id)).rotated_from(from);
        keys.insert(if id == "one" || id == "two" {
            told.revoked().build()
        } else {
            told.build()
        });
    }
    for id in ["three", "four"] {
        keys.rotate(id, &format(), HOUR).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_that_lives_until_the_end_of_all_dates_can_be_rotated() {
    let clock = clock();
    let keys = MemoryKeyStore::new().clock(clock.clone());
    let end = year_10_000() - HOUR;
    let key = keys
        .mint(&format(), NewKey::of("robot").expires_at(end))
        .await
        .unwrap();
    clock.advance(2 * HOUR);
    let next = keys.rotate(key.record().id(), &format(), HOUR).await.unwrap();
    assert_eq!(next.record().expires_at(), Some(end));
}

#[tokio::test]
async fn a_record_of_the_last_revision_is_changed_without_a_panic() {
    let keys = MemoryKeyStore::new();
    let last = ApiKeyRecord::builder("key_1", "robot", KeyDigest::of("one")).revision(u64::MAX);
    keys.insert(last.build());
    let revoked = keys.revoke("key_1").await.unwrap();
    assert_eq!((revoked.is_revoked(), revoked.revision()), (true, u64::MAX));
    assert_eq!(keys.get("key_1").await.unwrap().unwrap(), revoked);
}

#[test]
fn each_question_of_a_query_has_its_bounds() {
    let now = clock().now();
    let tick = Duration::from_millis(1);
    let told = || ApiKeyRecord::builder("key_2", "robot", KeyDigest::of("one"));
    let all = KeyQuery::default;
    for (query, record, matches) in [
        (all(), told(), true),
        (all().owner("robot"), told(), true),
        (all().owner("Robot"), told(), false),
        (all().live_at(now), told(), true),
        (all().live_at(now), told().expires_at(now), false),
        (all().live_at(now), told().expires_at(now + tick), true),
        (all().live_at(now), told().revoked_at(now + tick), false),
        (all().live_at(now), told().not_before(now + tick), true),
        (all().created_before(now), told(), true),
        (all().created_before(now), told().created_at(now), false),
        (all().created_before(now), told().created_at(now - tick), true),
        (all().unused_since(now), told(), true),
        (all().unused_since(now), told().created_at(now), false),
        (all().unused_since(now), told().created_at(now - tick), true),
        (all().unused_since(now), told().last_used_at(now), false),
        (all().unused_since(now), told().last_used_at(now - tick), true),
        (
            all().unused_since(now),
            told().created_at(now).last_used_at(now - tick),
            false,
        ),
        (all().never_expires(), told(), true),
        (all().never_expires(), told().expires_at(now), false),
        (all().after("key_1"), told(), true),
        (all().after("key_2"), told(), false),
        (all().after("key_3"), told(), false),
        (all().limit(0), told(), true),
    ] {
        let record = record.build();
        assert_eq!(query.matches(&record), matches, "{query:?} {record:?}");
    }
}

#[test]
fn a_change_keeps_what_is_not_its_own_and_uses_only_grow() {
    let now = clock().now();
    let stored = ApiKeyRecord::builder("key_1", "robot", KeyDigest::of("one"))
        .uses(u64::MAX - 1)
        .last_used_at(now)
        .revision(7)
        .build();
    let new = ApiKeyRecord::builder("key_2", "other", KeyDigest::of("two"))
        .last_used_at(now + HOUR)
        .uses(3)
        .build();
    let replaced = stored.replaced_by(&new);
    assert_eq!((replaced.id(), replaced.owner()), ("key_1", "other"));
    assert_eq!(replaced.digest(), stored.digest());
    assert_eq!((replaced.uses(), replaced.revision()), (u64::MAX - 1, 8));
    assert_eq!(replaced.last_used_at(), Some(now));

    let used = |uses, at| stored.with_uses(&KeyUses::new("key_1", uses, at));
    assert_eq!(used(9, now).uses(), u64::MAX, "a count does not start again");
    assert_eq!(used(1, now).revision(), 7);
    assert_eq!(used(1, now - HOUR).last_used_at(), Some(now));
    assert_eq!(used(1, now + HOUR).last_used_at(), Some(now + HOUR));
    let first = new.with_uses(&KeyUses::new("key_2", 1, now + 2 * HOUR));
    assert_eq!((first.uses(), first.last_used_at()), (4, Some(now + 2 * HOUR)));
}
