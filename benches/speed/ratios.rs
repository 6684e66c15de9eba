//! Side by side: a case, its limit and the floors of both take turns, so that whatever slows the machine down slows all of
//! them.

use std::time::Duration;

use crate::case::{Case, Measured, Work};
use crate::figures::{Row, write};
use crate::quick;

/// How long one of them works before it is the next one's turn.
const TURN: Duration = Duration::from_millis(2);

fn rounds() -> usize {
    if quick() { 5 } else { 151 }
}

/// Measures all cases, or those whose ids contain this.
pub(crate) fn run(cases: &[Case], wanted: Option<&str>) {
    println!(
        "{:<28} {:>10} {:>10} {:>10} {:>7} {:>6}",
        "medians, ns", "above", "limit", "floor", "ratio", "allocs"
    );
    let chosen = cases
        .iter()
        .filter(|case| wanted.is_none_or(|word| case.id.contains(word)));
    let rows: Vec<Row> = chosen
        .map(|case| {
            let limit = case.limit.as_ref().map(|id| find(cases, id));
            let row = measure(case, limit);
            println!("{row}");
            row
        })
        .collect();
    if wanted.is_none() {
        write(&rows, rounds());
    }
}

fn find<'c>(cases: &'c [Case], id: &str) -> &'c Case {
    cases.iter().find(|case| case.id == id).unwrap()
}

fn measure(case: &Case, limit: Option<&Case>) -> Row {
    let mut own = Contender::new((case.prepare)());
    let mut limit = limit.map(|limit| Contender::new((limit.prepare)()));
    let mut times = [(); 4].map(|()| Vec::new());
    for _ in 0..rounds() {
        let floor = own.floor();
        let compared = limit
            .as_mut()
            .map(|limit| limit.turn() - limit.floor().unwrap_or(0.0));
        let whole = own.turn();
        times[0].push(whole);
        times[1].extend(compared);
        times[2].extend(floor);
        times[3].extend(compared.map(|compared| (whole - floor.unwrap_or(0.0)) / compared));
    }
    let [whole, limit, floor, ratio] = times.map(median);
    let [allocations, floor_allocations] = own.allocations();
    Row {
        id: case.id.clone(),
        ns: whole.unwrap(),
        limit_ns: limit,
        floor_ns: floor,
        ratio,
        allocations,
        floor_allocations,
    }
}

/// A case, its floor, and how often each is done in a turn.
struct Contender {
    measured: Measured,
    times: [u64; 2],
}

impl Contender {
    fn new(mut measured: Measured) -> Self {
        let floor = measured.floor.as_mut().map_or(0, times_a_turn);
        let times = [times_a_turn(&mut measured.work), floor];
        Self { measured, times }
    }

    fn turn(&mut self) -> f64 {
        each(&mut self.measured.work, self.times[0])
    }

    fn floor(&mut self) -> Option<f64> {
        let floor = self.measured.floor.as_mut()?;
        Some(each(floor, self.times[1]))
    }

    /// Of one request, and of one of its floor.
    fn allocations(&mut self) -> [Option<f64>; 2] {
        if !self.measured.on_this_thread {
            return [None; 2];
        }
        let floor = self.measured.floor.as_mut().map(allocations);
        [Some(allocations(&mut self.measured.work)), floor]
    }
}

fn allocations(work: &mut Work) -> f64 {
    let count = |_| {
        let seen = allocation_counter::measure(|| {
            work(1);
        });
        seen.count_total as f64
    };
    // Of several, because a cache grows now and then, and some services are made anew.
    median((0..9).map(count).collect()).unwrap()
}

/// How often it is done in a turn, found by doing it for a quarter of one.
fn times_a_turn(work: &mut Work) -> u64 {
    let turn = if quick() { TURN / 10 } else { TURN };
    let mut times = 1;
    loop {
        let spent = work(times);
        if spent * 4 > turn {
            return ((times as f64 * turn.div_duration_f64(spent)) as u64).max(1);
        }
        times *= 2;
    }
}

/// Nanoseconds for one.
fn each(work: &mut Work, times: u64) -> f64 {
    work(times).as_secs_f64() * 1e9 / times as f64
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
