//! The peers over HTTP on loopback, called by wrk: `benches/http.sh`, which says what it needs.
//!
//! For RS256 and ES256, in several rounds that take turns: a server without authentication, and one behind each peer, each a new
//! process. `known`: the same token again and again, as services present it. `fresh`: a new token each time, from a file that
//! wrk reads. Printed are medians of requests a second, their ratio to no authentication, and the server's CPU time of a request.
//! `WORKERS=2`: two threads that answer instead of one. `QUICK=1` is for trying it out; `benches/http.sh hand-written` compares
//! the named ones alone, and writes nothing.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs, process};

use peers::authority::Authority;
use peers::figures::{self, median, rounded};
use peers::peer::{NONE, PEERS, Peer};
use serde_json::{Value, json};
use tower_resource_server::Algorithm;

/// More than are asked for while fresh tokens are measured.
const TOKENS: u32 = 40_000;

/// Presents the lines of a file, one after the other.
const SCRIPT: &str = r#"
local requests, turn = {}, 0
function init(arguments)
  for token in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("GET", "/", { authorization = "Bearer " .. token })
  end
end
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
"#;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let folder = env::temp_dir().join(format!("peers-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let outcome = run(&folder);
    fs::remove_dir_all(&folder)?;
    outcome
}

fn run(folder: &Path) -> Outcome<()> {
    let named: Vec<String> = env::args().skip(1).collect();
    let peers = PEERS.into_iter();
    let peers: Vec<Peer> = peers
        .filter(|peer| named.is_empty() || named.iter().any(|name| name == peer.name))
        .collect();
    if !named.is_empty() && peers.len() != named.len() {
        return Err("nobody of this name".into());
    }
    let (rounds, seconds) = if figures::quick() { (2, 1) } else { (5, 3) };
    let mut rows = Vec::new();
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        let bench = Bench::new(algorithm, &peers, folder)?;
        bench.prove()?;
        rows.extend(bench.measure("known", rounds, seconds)?);
        // Short, so that the tokens last.
        rows.extend(bench.measure("fresh", rounds, 1)?);
    }
    let how: BTreeMap<&str, String> = PEERS
        .iter()
        .map(|peer| (peer.name, peer.how.to_owned()))
        .collect();
    if named.is_empty() {
        figures::write("http", "benches/http.sh", &how, &rows)?;
    }
    Ok(())
}

struct Bench {
    algorithm: Algorithm,
    authority: Authority,
    peers: Vec<Peer>,
    jwks: PathBuf,
    tokens: PathBuf,
    script: PathBuf,
    workers: u32,
    /// Clock ticks a second, in which the CPU time of processes is told.
    ticks: f64,
}

/// One run of wrk.
struct Run {
    requests_per_second: f64,
    cpu_us: f64,
}

impl Bench {
    fn new(algorithm: Algorithm, peers: &[Peer], folder: &Path) -> Outcome<Self> {
        let authority = Authority::new(algorithm);
        let [jwks, tokens, script] = ["jwks.json", "tokens", "fresh.lua"].map(|name| folder.join(name));
        fs::write(&jwks, authority.terms().jwks)?;
        let lines: Vec<String> = (1..=TOKENS).map(|number| authority.good(number) + "\n").collect();
        fs::write(&tokens, lines.concat())?;
        fs::write(&script, SCRIPT)?;
        let ticks = Command::new("getconf").arg("CLK_TCK").output()?;
        Ok(Self {
            algorithm,
            authority,
            peers: peers.to_vec(),
            jwks,
            tokens,
            script,
            workers: env::var("WORKERS").as_deref().unwrap_or("1").parse()?,
            ticks: String::from_utf8(ticks.stdout)?.trim().parse()?,
        })
    }

    fn serve(&self, peer: &Peer) -> Outcome<Server> {
        let mut child = Command::new(env::current_exe()?.with_file_name("serve"))
            .args([peer.name, self.algorithm.as_str(), &self.workers.to_string()])
            .arg(&self.jwks)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        let printed = child.stdout.take().ok_or("a pipe")?;
        BufReader::new(printed).read_line(&mut address)?;
        Ok(Server {
            child,
            address: address.trim().to_owned(),
        })
    }

    /// That every server judges.
    fn prove(&self) -> Outcome<()> {
        for peer in &self.peers {
            let server = self.serve(peer)?;
            for (token, status) in self
                .authority
                .bad()
                .into_iter()
                .map(|(_, token)| (token, "401"))
                .chain([(self.authority.good(0), "200")])
            {
                let answer = server.answer(&token)?;
                if answer != status {
                    return Err(format!("{} answers {answer} instead of {status}", peer.name).into());
                }
            }
        }
        Ok(())
    }

    fn measure(&self, state: &str, rounds: usize, seconds: u32) -> Outcome<Vec<Value>> {
        let choices: Vec<Peer> = [NONE].into_iter().chain(self.peers.clone()).collect();
        let mut runs: Vec<Vec<Run>> = choices.iter().map(|_| Vec::new()).collect();
        for round in 0..rounds {
            for step in 0..choices.len() {
                let index = (round + step) % choices.len();
                runs[index].push(self.once(&choices[index], state, seconds)?);
            }
        }
        println!(
            "\n{}, {state} token: requests a second, ratio to none, server CPU µs a request",
            self.algorithm.as_str()
        );
        let of = |runs: &[Run], part: fn(&Run) -> f64| median(runs.iter().map(part).collect());
        let open = of(&runs[0], |run| run.requests_per_second);
        let row = |(peer, runs): (&Peer, &Vec<Run>)| {
            let per_second = of(runs, |run| run.requests_per_second);
            let cpu_us = of(runs, |run| run.cpu_us);
            let ratio = per_second / open;
            println!("  {:<40} {per_second:>8.0} {ratio:>6.3} {cpu_us:>7.1}", peer.name);
            json!({
                "id": format!("{}/{state}/{}", self.algorithm.as_str(), peer.name),
                "requests_per_second": per_second.round(),
                "ratio": (ratio * 1e3).round() / 1e3,
                "cpu_us": rounded(cpu_us),
                "workers": self.workers,
            })
        };
        Ok(choices.iter().zip(&runs).map(row).collect())
    }

    fn once(&self, peer: &Peer, state: &str, seconds: u32) -> Outcome<Run> {
        let server = self.serve(peer)?;
        let mut wrk = Command::new("wrk");
        wrk.args(["-t1", "-c32", &format!("-d{seconds}s")]);
        let url = format!("http://{}/", server.address);
        if state == "known" {
            let header = format!("authorization: Bearer {}", self.authority.good(0));
            wrk.args(["-H", &header, &url]);
        } else {
            wrk.arg("-s")
                .arg(&self.script)
                .arg(url)
                .arg("--")
                .arg(&self.tokens);
        }
        let before = server.cpu_ticks()?;
        let output = wrk.output()?;
        let ticks = server.cpu_ticks()? - before;
        let report = String::from_utf8(output.stdout)?;
        if !output.status.success() || report.contains("Non-2xx") || report.contains("Socket errors") {
            return Err(format!("{}: {report}", peer.name).into());
        }
        let requests = number_before(&report, " requests in").ok_or("wrk tells of no requests")?;
        if state == "fresh" && peer.name != NONE.name && requests > f64::from(TOKENS) {
            return Err(format!("{}: {requests} requests with {TOKENS} tokens", peer.name).into());
        }
        let per_second = report
            .split("Requests/sec:")
            .nth(1)
            .ok_or("wrk tells of no rate")?;
        let per_second = per_second.split_whitespace().next().unwrap_or_default();
        Ok(Run {
            requests_per_second: per_second.parse()?,
            cpu_us: ticks / self.ticks * 1e6 / requests,
        })
    }
}

fn number_before(report: &str, words: &str) -> Option<f64> {
    let (before, _) = report.split_once(words)?;
    before.split_whitespace().last()?.parse().ok()
}

/// A server process, which ends with this.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// The status that it answers to a token.
    fn answer(&self, token: &str) -> Outcome<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(
            stream,
            "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.split(' ').nth(1).unwrap_or_default().to_owned())
    }

    /// What it used of the processors until now, in user and kernel mode.
    fn cpu_ticks(&self) -> Outcome<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name of the program may have blanks in it; utime and stime are the 14th and 15th field.
        let (_, fields) = stat.rsplit_once(')').ok_or("no stat")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        Ok(ticks.sum::<Result<f64, _>>()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; nobody is left to be told.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
