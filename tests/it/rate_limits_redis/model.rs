//! What the engine answers is what the rule says, as exactly as can be seen from outside.

use std::time::{Duration, SystemTime};

use tower_resource_server::{Clock, Quota, RedisRateLimits, SharedRateLimits, SystemClock, Taken};

use super::limits;
use crate::redis_server::on_each_engine;

/// The engine's clock is this machine's, and is read between two readings here.
fn nanos() -> i128 {
    let since = SystemClock::new().now().duration_since(SystemTime::UNIX_EPOCH);
    i128::try_from(since.unwrap().as_nanos()).unwrap()
}

fn of(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).unwrap()
}

/// Times are told in whole microseconds, and rounded by one.
const GRAIN: i128 = 2_000;

/// The earliest and the latest time at which the quota can be whole again.
struct Model {
    quota: Quota,
    earliest: i128,
    latest: i128,
}

impl Model {
    fn new(quota: Quota) -> Self {
        Self {
            quota,
            earliest: 0,
            latest: 0,
        }
    }

    /// Says what cannot be, of a request that was counted between these times.
    fn check(&mut self, before: i128, after: i128, taken: Taken) {
        let (interval, recovery) = (of(self.quota.interval()), of(self.quota.recovery()));
        let least = (self.earliest - after).max(0) + interval;
        let most = (self.latest - before).max(0) + interval;
        let told = of(taken.next);
        if taken.granted {
            assert!(least <= recovery + GRAIN, "{taken:?}: it is one too many");
            let credit = i128::from(taken.remaining) * interval + interval - told;
            let debt = recovery - credit;
            assert!(
                debt >= least - GRAIN && debt <= most + GRAIN,
                "{taken:?} {least} {most}"
            );
            self.earliest = self.earliest.max(before) + interval - GRAIN;
            self.latest = (self.latest.max(after) + interval).min(after + recovery) + GRAIN;
        } else {
            assert!(most > recovery - GRAIN, "{taken:?}: there was one left");
            assert!(told >= least - recovery, "{taken:?}: it is too short");
            assert!(told <= most - recovery + GRAIN, "{taken:?}: it is too long");
            self.earliest = self.earliest.max(before + recovery - interval - GRAIN);
        }
    }
}

async fn run(limits: &RedisRateLimits, random: &mut fastrand::Rng) -> (u32, u32) {
    let requests = random.u32(1..20);
    let window = Duration::from_micros(random.u64(1_000..60_000));
    let quota = Quota::new(requests, window).at_once(random.u32(1..10));
    let mut model = Model::new(quota);
    let (caller, mut passed, mut refused) = (random.u64(..).to_string(), 0, 0);
    for _ in 0..60 {
        let before = nanos();
        let taken = limits.take(&caller, quota).await.unwrap();
        let after = nanos();
        // In whole microseconds, as the engine tells the time.
        model.check(before / 1_000 * 1_000, after, taken);
        *(if taken.granted { &mut passed } else { &mut refused }) += 1;
        // Real engines have a time of their own.
        if random.u32(0..4) == 0 {
            tokio::time::sleep(quota.interval().mul_f64(random.f64() * 2.0)).await;
        }
    }
    (passed, refused)
}

#[tokio::test]
async fn the_engine_grants_and_tells_what_the_rule_says() {
    on_each_engine(async |server| {
        let limits = limits(&server);
        let mut random = fastrand::Rng::with_seed(11);
        let (mut passed, mut refused) = (0, 0);
        for _ in 0..60 {
            let (more, others) = run(&limits, &mut random).await;
            passed += more;
            refused += others;
        }
        println!("{passed} passed, {refused} did not");
        assert!(passed > 300 && refused > 300, "{passed} {refused}");
    })
    .await;
}
