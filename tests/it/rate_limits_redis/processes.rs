//! Two processes over one engine share one quota.

use std::env;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tower_resource_server::{Quota, RateLimits, RedisRateLimits, Share};

use crate::rate_limits::{behind_keys, key};
use crate::redis_server::{RedisServer, engines};
use crate::support::{KEY, call, store};

/// Names the engine to the process that is to ask.
const ENGINE: &str = "RATE_LIMITS_OF";
const EACH_SECOND: u32 = 400;
const QUOTA: Quota = Quota::per_second(EACH_SECOND);
const SPAN: Duration = Duration::from_secs(4);

/// What one of the processes did, as it tells it: `first last passed alone`, times in microseconds.
struct Told {
    first: u64,
    last: u64,
    passed: u64,
    alone: u64,
}

/// Not a test of its own: what each of the two processes below does, for as long as [`SPAN`].
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_processes() {
    let Ok(url) = env::var(ENGINE) else { return };
    let place = RedisRateLimits::new(redis::Client::open(url).unwrap());
    let limits = RateLimits::builder("free", QUOTA).shared(place, Share::one_in(2));
    let limits = limits.build().unwrap();
    let app = behind_keys(store(), limits.clone());
    // The connection is made, and the first request is a stranger's.
    println!("ready");
    let mut go = String::new();
    std::io::stdin().read_line(&mut go).unwrap();
    let first = now();
    let asking = (0..8).map(|_| {
        let app = app.clone();
        tokio::spawn(async move {
            let mut passed = 0;
            while now() < first + u64::try_from(SPAN.as_micros()).unwrap() {
                let answer = call(&app, key(KEY)).await;
                passed += u64::from(answer.status.is_success());
                if !answer.status.is_success() {
                    // As impatient as a client can be that leaves the machine something to do.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            passed
        })
    });
    let mut passed = 0;
    for task in asking.collect::<Vec<_>>() {
        passed += task.await.unwrap();
    }
    println!(
        "told {first} {} {passed} {}",
        now(),
        limits.status().counted_alone
    );
}

fn now() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap()
}

struct Process {
    child: Child,
    output: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Process {
    /// It stands ready.
    async fn start(server: &RedisServer) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args([
                "rate_limits_redis::processes::one_of_two_processes",
                "--exact",
                "--nocapture",
            ])
            .env(ENGINE, format!("redis://{}/", server.address()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut process = Self { child, output };
        process.said("ready").await;
        process
    }

    /// The rest of the line in which it says this.
    async fn said(&mut self, word: &str) -> String {
        loop {
            let line = self
                .output
                .next_line()
                .await
                .unwrap()
                .expect("it ended before it said so");
            // The test harness writes on the same line.
            if let Some((_, rest)) = line.split_once(word) {
                return rest.to_owned();
            }
        }
    }

    async fn go(&mut self) {
        self.child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"go\n")
            .await
            .unwrap();
    }

    async fn told(mut self) -> Told {
        let told = self.said("told ").await;
        let numbers: Vec<u64> = told
            .split_whitespace()
            .map(|number| number.parse().unwrap())
            .collect();
        assert!(self.child.wait().await.unwrap().success());
        let [first, last, passed, alone] = numbers[..] else {
            panic!("{told}")
        };
        Told {
            first,
            last,
            passed,
            alone,
        }
    }
}

/// Both ask for more than there is, from many tasks at once. What passes at both is what the plan allows in the time from the first
/// request to the last, to within one percent.
#[tokio::test]
async fn two_processes_let_through_what_one_plan_allows() {
    for program in engines() {
        let server = RedisServer::start(&program);
        let mut processes = [Process::start(&server).await, Process::start(&server).await];
        for process in &mut processes {
            process.go().await;
        }
        let [one, other] = processes;
        let (one, other) = (one.told().await, other.told().await);
        let allowed = |micros: u64| {
            let back = f64::from(EACH_SECOND) * Duration::from_micros(micros).as_secs_f64();
            f64::from(QUOTA.most()) + back
        };
        // Between the times at which surely one, and at which surely both have been at it.
        let least = allowed(one.last.min(other.last) - one.first.max(other.first));
        let most = allowed(one.last.max(other.last) - one.first.min(other.first));
        let passed = one.passed + other.passed;
        // On a machine that is busy with other tests an answer can be late; then the process counts alone.
        let alone = one.alone + other.alone;
        println!(
            "{}: {passed} passed, {least:.0} to {most:.0} are allowed, {alone} counted alone",
            program.display()
        );
        let passed = f64::from(u32::try_from(passed).unwrap());
        assert!(passed >= least * 0.99, "{passed} of {least}");
        assert!(
            passed <= most * 1.01 + f64::from(u32::try_from(alone).unwrap()),
            "{passed} of {most}"
        );
        assert!(one.passed > 0 && other.passed > 0);
    }
}
