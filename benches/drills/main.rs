//! What honest callers notice of trouble: `cargo bench --bench drills` (`QUICK=1` for a short look, `-- refusals` for the last
//! part alone).
//!
//! One API on loopback, served by one thread, and honest callers on kept connections: 400 requests a second at random times,
//! in turns with a known token and with a fresh one, both RS256. Latency is counted from the time at which a request was due,
//! so whoever has to wait behind another is counted in full. Each trouble is a round between two quiet ones, over and over;
//! only ratios to the quiet rounds of the same run are figures. The floods are of 4,000 requests a second. One of them goes
//! to a route without any layer: what so many requests cost by themselves, or gain, since a thread that is busy need not be
//! woken. At the end: what a refusal costs, without HTTP.

#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, stops where it cannot go on, and tells what it measured"
)]

mod figures;
mod load;
mod login;
mod refusals;
mod server;
mod tokens;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use figures::Figures;
use load::{Answer, HONEST, Kind, Sender, Supply};
use login::{Login, Mood};
use server::Server;
use tokens::{Flood, HastyIdp, Idp};

/// How long a set of keys lives in the drill of the rotation.
const EPOCH: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Situation {
    Quiet,
    Rotation,
    Refused,
    Hung,
    Flood(Flood),
}

impl Situation {
    const TROUBLES: [Self; 7] = [
        Self::Rotation,
        Self::Refused,
        Self::Hung,
        Self::Flood(Flood::Open),
        Self::Flood(Flood::Junk),
        Self::Flood(Flood::UnknownKey),
        Self::Flood(Flood::Forged),
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Rotation => "keys rotate",
            Self::Refused => "issuer down",
            Self::Hung => "issuer hangs",
            Self::Flood(flood) => flood.name(),
        }
    }
}

/// What was seen in all rounds of a situation.
#[derive(Default)]
struct Seen {
    answers: Vec<Answer>,
    flood: usize,
    /// Those that were not answered as they should be.
    odd: usize,
    /// The server's, while it was so.
    cpu: Duration,
    time: Duration,
}

struct World {
    server: Server,
    login: Login,
    steady: Idp,
    hasty: HastyIdp,
    round: Duration,
}

impl World {
    fn start(round: Duration) -> Self {
        let (steady, hasty) = (Idp::new("steady"), HastyIdp::new());
        let login = Login::start();
        login.publish("/steady", steady.jwks());
        login.publish("/hasty", hasty.jwks());
        Self {
            server: Server::start(&login),
            login,
            steady,
            hasty,
            round,
        }
    }

    /// Everything that a round needs is signed before it begins.
    fn round(&mut self, situation: Situation, seen: &mut Seen) {
        let seconds = usize::try_from(self.round.as_secs()).unwrap();
        let supply = match situation {
            Situation::Rotation => self.hasty.epochs(seconds),
            Situation::Refused | Situation::Hung => self.hasty.epochs(1),
            // Half of the requests bring a fresh token, give or take some by chance.
            Situation::Quiet | Situation::Flood(_) => Supply::of(self.steady.epoch(seconds * HONEST * 3 / 4)),
        };
        self.login
            .publish("/hasty", supply.jwks(0).unwrap_or_else(|| self.hasty.jwks()));
        let mut caller = Sender::connect(self.server.address);
        while caller.call(supply.known()) != 200 || caller.call(supply.fresh()) != 200 {
            thread::sleep(Duration::from_millis(100)); // the server is on its way to these keys
        }
        let junk = match situation {
            Situation::Flood(flood) => flood.requests(&self.steady),
            _ => Vec::new(),
        };
        match situation {
            Situation::Refused => self.login.turns(Mood::Refuses),
            Situation::Hung => self.login.turns(Mood::Hangs),
            _ => {}
        }
        self.measure(&supply, &junk, seen);
        self.login.turns(Mood::Answers);
    }

    fn measure(&self, supply: &Supply, junk: &[tokens::Wire], seen: &mut Seen) {
        let over = AtomicBool::new(false);
        let (cpu, begun) = (self.server.cpu(), Instant::now());
        thread::scope(|scope| {
            let flood = scope.spawn(|| load::flood(self.server.address, self.round, junk));
            scope.spawn(|| self.rotate(supply, &over));
            seen.answers
                .extend(load::honest(self.server.address, self.round, supply));
            over.store(true, Ordering::Relaxed);
            let (sent, odd) = flood.join().unwrap();
            seen.flood += sent;
            seen.odd += odd;
        });
        seen.time += begun.elapsed();
        seen.cpu += self.server.cpu().saturating_sub(cpu);
    }

    /// Publishes the keys of each epoch, and has tokens of that epoch used from then on.
    fn rotate(&self, supply: &Supply, over: &AtomicBool) {
        let begun = Instant::now();
        let mut epoch = 1;
        while let Some(jwks) = supply.jwks(epoch) {
            while begun.elapsed() < EPOCH * u32::try_from(epoch).unwrap() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                thread::sleep(Duration::from_millis(1));
            }
            self.login.publish("/hasty", jwks);
            supply.turn(epoch);
            epoch += 1;
        }
    }
}

fn main() {
    let is_quick = std::env::var_os("QUICK").is_some();
    if std::env::args().any(|word| word == "refusals") {
        return refusals::measure(is_quick, &mut Figures::new(""));
    }
    let mut figures = Figures::new(if is_quick {
        "QUICK=1 cargo bench --bench drills"
    } else {
        "cargo bench --bench drills"
    });
    drills(is_quick, &mut figures);
    refusals::measure(is_quick, &mut figures);
    figures.write("drills");
}

fn drills(is_quick: bool, figures: &mut Figures) {
    let (cycles, round) = if is_quick { (1, 3) } else { (8, 5) };
    let mut world = World::start(Duration::from_secs(round));
    let mut quiet = Seen::default();
    let mut troubles = Situation::TROUBLES.map(|trouble| (trouble, Seen::default()));
    for _ in 0..cycles {
        for (trouble, seen) in &mut troubles {
            world.round(Situation::Quiet, &mut quiet);
            world.round(*trouble, seen);
        }
    }
    println!(
        "µs from the time a request was due, and the ratio to the quiet rounds; {cycles} rounds of {round} s each"
    );
    println!("situation              token    calls  refused     p50           p99           p99.9");
    let calm = [Kind::Known, Kind::Fresh].map(|kind| Percentiles::of(&quiet, kind));
    let worse = troubles.iter().map(|(trouble, seen)| (*trouble, seen));
    for (situation, seen) in [(Situation::Quiet, &quiet)].into_iter().chain(worse) {
        for (kind, calm) in [Kind::Known, Kind::Fresh].into_iter().zip(&calm) {
            report(situation, kind, seen, calm, figures);
        }
    }
    report_floods(&quiet, &troubles, figures);
}

/// In nanoseconds.
struct Percentiles {
    calls: usize,
    p50: f64,
    p99: f64,
    p999: f64,
}

impl Percentiles {
    fn of(seen: &Seen, kind: Kind) -> Self {
        let of_kind = seen.answers.iter().filter(|answer| answer.kind == kind);
        let mut took: Vec<Duration> = of_kind.map(|answer| answer.took).collect();
        took.sort_unstable();
        let at = |thousandth: usize| took[took.len() * thousandth / 1000].as_secs_f64() * 1e9;
        Self {
            calls: took.len(),
            p50: at(500),
            p99: at(990),
            p999: at(999),
        }
    }
}

fn report(situation: Situation, kind: Kind, seen: &Seen, calm: &Percentiles, figures: &mut Figures) {
    let Percentiles {
        calls,
        p50,
        p99,
        p999,
    } = Percentiles::of(seen, kind);
    let is_refused = |answer: &&Answer| answer.kind == kind && answer.status != 200;
    let refused = seen.answers.iter().filter(is_refused).count();
    let (name, kind) = (situation.name(), kind.name());
    let ratios = [p50 / calm.p50, p99 / calm.p99, p999 / calm.p999];
    println!(
        "{name:<22} {kind:<6} {calls:>7} {refused:>8} {:>7.0} x{:<5.2} {:>7.0} x{:<5.2} {:>7.0} x{:<5.2}",
        p50 / 1e3,
        ratios[0],
        p99 / 1e3,
        ratios[1],
        p999 / 1e3,
        ratios[2]
    );
    let id = format!("{}/{kind}", name.replace(": ", "/").replace(' ', "-"));
    figures.row(
        &id,
        &[
            ("requests", calls as f64),
            ("refused", refused as f64),
            ("p50_ns", p50),
            ("p99_ns", p99),
            ("p999_ns", p999),
            ("p50_to_quiet", ratios[0]),
            ("p99_to_quiet", ratios[1]),
            ("p999_to_quiet", ratios[2]),
        ],
    );
}

/// What the server's thread spends on a request of a flood, above what it spends when it is quiet.
fn report_floods(quiet: &Seen, troubles: &[(Situation, Seen)], figures: &mut Figures) {
    println!("\nflood                  requests    odd      /s   server CPU, µs each");
    let idle = quiet.cpu.div_duration_f64(quiet.time);
    for (situation, seen) in troubles.iter().filter(|(_, seen)| seen.flood > 0) {
        let (sent, seconds) = (seen.flood as f64, seen.time.as_secs_f64());
        let each = (seen.cpu.as_secs_f64() - idle * seconds) / sent;
        let (name, rate) = (situation.name(), sent / seconds);
        println!(
            "{name:<22} {:>8} {:>6} {rate:>7.0} {:>9.1}",
            seen.flood,
            seen.odd,
            each * 1e6
        );
        let id = format!("{}/server", name.replace(": ", "/").replace(' ', "-"));
        let mut numbers = vec![("requests", sent), ("per_second", rate), ("odd", seen.odd as f64)];
        if !seen.cpu.is_zero() {
            numbers.push(("cpu_ns", each * 1e9)); // known on Linux only
        }
        figures.row(&id, &numbers);
    }
}
