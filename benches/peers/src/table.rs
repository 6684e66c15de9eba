//! What was measured, as a table for people and as rows for the figures' file.

use peers::figures::{median, rounded};
use serde_json::{Value, json};
use tower_resource_server::Algorithm;

/// Nanoseconds of a call, of the service alone, and of the signature alone, in one round.
#[derive(Clone, Copy)]
pub struct Cost {
    pub ns: f64,
    pub floor: f64,
    pub limit: f64,
}

/// Of one peer: the rounds on one thread, and on two.
pub struct Measured {
    name: &'static str,
    pub fresh: [Vec<Cost>; 2],
    pub known: [Vec<Cost>; 2],
    pub fresh_allocations: u64,
    pub known_allocations: u64,
    pub floor_allocations: u64,
}

impl Measured {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            fresh: Default::default(),
            known: Default::default(),
            fresh_allocations: 0,
            known_allocations: 0,
            floor_allocations: 0,
        }
    }

    /// Both states: their names, rounds and allocations.
    fn states(&self) -> [(&'static str, &[Vec<Cost>; 2], u64); 2] {
        [
            ("fresh", &self.fresh, self.fresh_allocations),
            ("known", &self.known, self.known_allocations),
        ]
    }
}

impl Cost {
    /// What the peer adds, in signatures.
    fn ratio(&self) -> f64 {
        (self.ns - self.floor) / self.limit
    }
}

fn medians(rounds: &[Cost]) -> Cost {
    let of = |part: fn(&Cost) -> f64| median(rounds.iter().map(part).collect());
    Cost {
        ns: of(|cost| cost.ns),
        floor: of(|cost| cost.floor),
        limit: of(|cost| cost.limit),
    }
}

/// Of the rounds' ratios: what slows a round down slows down both of its parts.
fn ratio(rounds: &[Cost]) -> f64 {
    median(rounds.iter().map(Cost::ratio).collect())
}

pub fn print(algorithm: Algorithm, measured: &[Measured]) {
    println!(
        "\n{}: µs above the service alone, and the ratio to the signature alone; on one thread and on two; allocations above the \
         service alone",
        algorithm.as_str()
    );
    for state in 0..2 {
        for peer in measured {
            let (name, threads, allocations) = peer.states()[state];
            print!("  {name:<6} {:<40}", peer.name);
            for rounds in threads {
                let Cost { ns, floor, .. } = medians(rounds);
                print!(" {:>9.2} {:>7.3}", (ns - floor) / 1e3, ratio(rounds));
            }
            println!(" {:>5}", allocations.saturating_sub(peer.floor_allocations));
        }
    }
}

pub fn rows(algorithm: Algorithm, measured: &[Measured]) -> Vec<Value> {
    let mut rows = Vec::new();
    for peer in measured {
        for (state, threads, allocations) in peer.states() {
            for (rounds, count) in threads.iter().zip(["1-thread", "2-threads"]) {
                let Cost { ns, floor, limit } = medians(rounds);
                rows.push(json!({
                    "id": format!("{}/{state}/{}/{count}", algorithm.as_str(), peer.name),
                    "ns": rounded(ns),
                    "floor_ns": rounded(floor),
                    "limit_ns": rounded(limit),
                    "ratio": (ratio(rounds) * 1e4).round() / 1e4,
                    "allocations": allocations,
                    "floor_allocations": peer.floor_allocations,
                }));
            }
        }
    }
    rows
}
