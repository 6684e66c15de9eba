//! What a request costs behind each peer: `cargo run --release --manifest-path benches/peers/Cargo.toml`.
//!
//! For RS256, ES256 and EdDSA, in turns in one run: the service alone (the floor), the signature of the token and nothing else (the
//! limit), and every peer, with tokens that nobody saw before and with one token over and over; on one thread, and on two at
//! once. Before that every peer must accept a good token and refuse bad ones, or nothing is measured. `QUICK=1` is for trying
//! it out, `-- RS256` measures that algorithm alone and writes nothing. The figures go to `benches/figures/peers.json`; only their
//! ratios hold.

mod table;

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::thread;

use http::StatusCode;
use peers::authority::{Authority, Terms};
use peers::peer::{NONE, PEERS, Peer};
use peers::service::{Guarded, bearer, request};
use peers::work::{Crew, Limit, Pass, Presented, Work};
use peers::{crypto, figures};
use tower_resource_server::Algorithm;

use table::{Cost, Measured};

/// Tokens of a thread in a round.
const TOKENS: usize = 100;
const THREADS: [usize; 2] = [1, 2];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    crypto::install();
    let runtime = tokio::runtime::Runtime::new()?;
    let _context = runtime.enter(); // some peers want one to be there
    let rounds = if figures::quick() { 5 } else { 31 };
    let mut rows = Vec::new();
    let wanted: Vec<String> = env::args().skip(1).collect();
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == algorithm.as_str()) {
            continue;
        }
        let bench = Bench::new(algorithm, rounds);
        bench.prove()?;
        let measured = bench.measure();
        table::print(algorithm, &measured);
        rows.extend(table::rows(algorithm, &measured));
    }
    let how: BTreeMap<&str, String> = PEERS
        .iter()
        .map(|peer| (peer.name, peer.how.to_owned()))
        .collect();
    println!();
    for peer in PEERS {
        println!("{:<40} {}", peer.name, peer.how);
    }
    let command = "cargo run --release --manifest-path benches/peers/Cargo.toml";
    if wanted.is_empty() {
        figures::write("peers", command, &how, &rows)?;
    }
    Ok(())
}

/// Those who know an algorithm, and tokens of it.
struct Bench {
    authority: Authority,
    floor: Box<dyn Guarded>,
    limit: Limit,
    peers: Vec<(Peer, Box<dyn Guarded>)>,
    /// The one that is presented over and over.
    known: Vec<Presented>,
    /// Those that are presented once.
    fresh: Vec<Presented>,
    rounds: usize,
}

impl Bench {
    fn new(algorithm: Algorithm, rounds: usize) -> Self {
        let authority = Authority::new(algorithm);
        let terms: Terms = authority.terms();
        let peers = PEERS
            .into_iter()
            .filter_map(|peer| Some((peer, peer.service(&terms)?)))
            .collect();
        let known = authority.good(0);
        // In each round one thread, and then two; and once more for the allocations.
        let fresh = 1..=u32::try_from((rounds * 3 + 1) * TOKENS).expect("not many");
        Self {
            floor: NONE.service(&terms).expect("it knows all algorithms"),
            limit: Limit::new(&terms),
            peers,
            known: (0..TOKENS).map(|_| Presented::new(&known)).collect(),
            fresh: fresh
                .map(|number| Presented::new(&authority.good(number)))
                .collect(),
            authority,
            rounds,
        }
    }

    /// That everybody judges, and judges the same.
    fn prove(&self) -> Result<(), String> {
        let bad = self.authority.bad();
        let good = self.authority.good(0);
        for (peer, service) in &self.peers {
            crypto::use_rust_crypto(peer.rust_crypto);
            let mut service = (**service).another();
            let mut answer = |token: &str| (*service).answer(request(&bearer(token)));
            if answer(&good) != StatusCode::OK {
                return Err(format!("{} refuses a good token", peer.name));
            }
            for (fault, token) in &bad {
                let status = answer(token);
                if status != StatusCode::UNAUTHORIZED {
                    return Err(format!("{} answers {status} to a token with {fault}", peer.name));
                }
            }
        }
        Ok(())
    }

    fn measure(&self) -> Vec<Measured> {
        let mut costs: Vec<Measured> = self
            .peers
            .iter()
            .map(|(peer, _)| Measured::new(peer.name))
            .collect();
        thread::scope(|scope| {
            let crew = Crew::new(scope, THREADS[1]);
            for round in 0..self.rounds {
                let begin = round * 3 * TOKENS;
                for (index, threads) in THREADS.into_iter().enumerate() {
                    let fresh = &self.fresh[begin + index * TOKENS..][..threads * TOKENS];
                    self.round(&crew, round, fresh, &mut costs);
                }
            }
        });
        let unseen = &self.fresh[self.rounds * 3 * TOKENS..];
        for ((peer, service), cost) in self.peers.iter().zip(&mut costs) {
            crypto::use_rust_crypto(peer.rust_crypto);
            cost.fresh_allocations = allocations(service, unseen);
            cost.known_allocations = allocations(service, &self.known);
            cost.floor_allocations = allocations(&self.floor, &self.known);
        }
        costs
    }

    /// Everybody once, each time beginning with somebody else; on as many threads as there are rows of tokens.
    fn round<'t>(&'t self, crew: &Crew<'t>, round: usize, fresh: &'t [Presented], costs: &mut [Measured]) {
        let warming = &self.known[0];
        let fresh: Vec<&[Presented]> = fresh.chunks(TOKENS).collect();
        let known = vec![&self.known[..]; fresh.len()];
        let floor = crew.time(&self.floor, warming, &known, Pass::Again);
        for step in 0..self.peers.len() {
            let index = (round + step) % self.peers.len();
            let (peer, service) = &self.peers[index];
            crypto::use_rust_crypto(peer.rust_crypto);
            let limit = crew.time(&self.limit, warming, &fresh, Pass::Again); // next to whom it is compared with
            let cost = |ns| Cost { ns, floor, limit };
            let first = crew.time(service, warming, &fresh, Pass::Once);
            costs[index].fresh[fresh.len() - 1].push(cost(first));
            let again = crew.time(service, warming, &known, Pass::Again);
            costs[index].known[fresh.len() - 1].push(cost(again));
        }
    }
}

/// Heap allocations of a call: what is usual, since now and then something grows. They are counted here and not in the library,
/// which a server is built from, too: who counts replaces the allocator.
fn allocations(work: &dyn Work, tokens: &[Presented]) -> u64 {
    let mut work = work.another();
    let mut counts: Vec<u64> = tokens
        .iter()
        .map(|token| allocation_counter::measure(|| work.once(token)).count_total)
        .collect();
    counts.sort_unstable();
    counts[counts.len() / 2]
}
