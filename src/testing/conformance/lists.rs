//! Lists and reports.

use super::changes::{format, mint, wanted};
use super::{HOUR, clock, start};
use crate::api_key::{
    ApiKeyRecord, Committed, KeyChange, KeyDigest, KeyQuery, KeyRegistry, KeyUses, ReportLimits,
};
use crate::testing::TestClock;

pub(super) async fn suite<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    a_list_has_what_was_asked_for_in_the_order_of_ids(make).await;
    pages_follow_each_other(make).await;
    a_report_tells_old_unused_and_endless_keys(make).await;
}

/// Records that differ in all that a query asks.
fn varied() -> Vec<ApiKeyRecord> {
    let times = [
        None,
        Some(start()),
        Some(start() + HOUR),
        Some(start() + 2 * HOUR),
    ];
    let mut records = Vec::new();
    for (number, created) in times.iter().enumerate() {
        for (ended, expires) in times.iter().enumerate() {
            for (used, last_used) in times.iter().enumerate() {
                // Ids in upper and lower case: their order is that of bytes.
                let id = format!(
                    "{}_{number}{ended}{used}",
                    if used % 2 == 0 { "key" } else { "KEY" }
                );
                let owner = if ended % 2 == 0 { "robot" } else { "Robot" };
                let mut told = ApiKeyRecord::builder(id.clone(), owner, KeyDigest::of(id.as_str()));
                told = created.map_or(told.clone(), |at| told.created_at(at));
                told = expires.map_or(told.clone(), |at| told.expires_at(at));
                told = last_used.map_or(told.clone(), |at| told.last_used_at(at).uses(1));
                records.push(if number == ended {
                    told.revoked_at(start()).build()
                } else {
                    told.build()
                });
            }
        }
    }
    records
}

async fn a_list_has_what_was_asked_for_in_the_order_of_ids<S: KeyRegistry>(
    make: &impl AsyncFn(TestClock) -> S,
) {
    let keys = make(clock()).await;
    let mut records = varied();
    for record in &records {
        let added = keys
            .commit(&KeyChange::add(record.clone()))
            .await
            .expect("the store answers");
        assert_eq!(added, Committed::Done);
    }
    records.sort_by(|one, other| one.id().cmp(other.id()));
    let all = KeyQuery::default();
    let queries = [
        all.clone(),
        all.clone().limit(usize::MAX),
        all.clone().owner("robot"),
        all.clone().owner("nobody"),
        all.clone().live_at(start() + HOUR),
        all.clone().created_before(start() + HOUR),
        all.clone().unused_since(start() + HOUR),
        all.clone().never_expires(),
        all.clone().after("KEY_2"),
        all.clone().after("KEY_333"),
        all.clone().after("key_333"),
        all.clone().owner("Robot").live_at(start()).never_expires(),
        all.clone()
            .live_at(start())
            .created_before(start() + 2 * HOUR)
            .unused_since(start() + 2 * HOUR),
    ];
    for query in queries {
        let listed = keys.list(&query).await.expect("the store answers");
        let expected: Vec<_> = records
            .iter()
            .filter(|record| query.matches(record))
            .cloned()
            .collect();
        assert_eq!(ids(&listed), ids(&expected), "{query:?}");
        assert_eq!(listed, expected, "records are listed whole");
    }
}

fn ids(records: &[ApiKeyRecord]) -> Vec<&str> {
    records.iter().map(ApiKeyRecord::id).collect()
}

async fn pages_follow_each_other<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let time = clock();
    let keys = make(time.clone()).await;
    let mut minted = Vec::new();
    for _ in 0..7 {
        minted.push(mint(&keys, wanted("robot")).await.record().id().to_owned());
        time.advance(HOUR);
    }
    let query = KeyQuery::default().owner("robot").limit(3);
    let mut seen = Vec::new();
    let mut next = query.clone();
    loop {
        let page = keys.list(&next).await.expect("the store answers");
        assert!(page.len() <= 3, "a page is not longer than asked for");
        let Some(last) = page.last() else { break };
        assert!(seen.len() < minted.len(), "a page begins after the one before");
        next = query.clone().after(last.id());
        seen.extend(page.iter().map(|record| record.id().to_owned()));
    }
    assert_eq!(seen, minted, "ids are in the order in which keys were minted");
    let all = keys.list_all(query).await.expect("all pages are read");
    assert_eq!(ids(&all), minted);
    let none = keys
        .list(&KeyQuery::default().limit(0))
        .await
        .expect("the store answers");
    assert_eq!(none, []);
}

async fn a_report_tells_old_unused_and_endless_keys<S: KeyRegistry>(make: &impl AsyncFn(TestClock) -> S) {
    let time = clock();
    let keys = make(time.clone()).await;
    let day = 24 * HOUR;
    let old = mint(&keys, wanted("old").expires_in(1_000 * day)).await;
    let busy = mint(&keys, wanted("busy").expires_in(1_000 * day)).await;
    let gone = mint(&keys, wanted("gone")).await;
    keys.revoke(gone.record().id()).await.expect("the key is revoked");
    time.advance(100 * day);
    let young = mint(&keys, wanted("young")).await;
    let uses = [KeyUses::new(busy.record().id(), 1, start() + 99 * day)];
    keys.add_uses(&uses).await.expect("uses are written down");
    let report = keys
        .report(ReportLimits::default())
        .await
        .expect("a report is made");
    assert_eq!(ids(&report.old), sorted([old.record().id(), busy.record().id()]));
    assert_eq!(ids(&report.unused), [old.record().id()]);
    assert_eq!(ids(&report.endless), [young.record().id()]);
    let wide = ReportLimits::default().age(200 * day).unused(day / 2);
    let report = keys.report(wide).await.expect("a report is made");
    assert_eq!(
        (report.old.len(), ids(&report.unused)),
        (0, sorted([old.record().id(), busy.record().id()]))
    );
    keys.rotate(old.record().id(), &format(), HOUR)
        .await
        .expect("the key is rotated");
    time.advance(2 * HOUR);
    let report = keys
        .report(ReportLimits::default())
        .await
        .expect("a report is made");
    assert_eq!(
        ids(&report.old),
        [busy.record().id()],
        "what was rotated is no worry any more"
    );
}

fn sorted<const N: usize>(mut ids: [&str; N]) -> Vec<&str> {
    ids.sort_unstable();
    ids.to_vec()
}
