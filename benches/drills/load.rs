//! Open-loop load: requests are due at times that were drawn before, whatever becomes of those before them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::tokens::{Epoch, Wire};

/// Honest requests a second.
pub(crate) const HONEST: usize = 400;
const HONEST_CONNECTIONS: usize = 16;
const FLOOD: usize = 10 * HONEST;
const FLOOD_CONNECTIONS: usize = 64;
/// So long before a request is due, its sender is awake: a timer may be that late.
const AWAKE: Duration = Duration::from_micros(200);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Known,
    Fresh,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Fresh => "fresh",
        }
    }
}

pub(crate) struct Answer {
    pub(crate) kind: Kind,
    pub(crate) status: u16,
    pub(crate) took: Duration,
}

/// The requests that honest callers make: those of the epoch that it is now.
pub(crate) struct Supply {
    epochs: Vec<(Epoch, AtomicUsize)>,
    now: AtomicUsize,
}

impl Supply {
    pub(crate) fn new(epochs: Vec<Epoch>) -> Self {
        Self {
            epochs: epochs
                .into_iter()
                .map(|epoch| (epoch, AtomicUsize::new(0)))
                .collect(),
            now: AtomicUsize::new(0),
        }
    }

    pub(crate) fn of(epoch: Epoch) -> Self {
        Self::new(vec![epoch])
    }

    /// What the issuer publishes in an epoch, if it publishes anything of its own then.
    pub(crate) fn jwks(&self, epoch: usize) -> Option<String> {
        self.epochs.get(epoch)?.0.jwks.clone()
    }

    pub(crate) fn turn(&self, epoch: usize) {
        self.now.store(epoch, Ordering::Release);
    }

    pub(crate) fn known(&self) -> &Wire {
        &self.epochs[self.now.load(Ordering::Acquire)].0.known
    }

    pub(crate) fn fresh(&self) -> &Wire {
        let (epoch, next) = &self.epochs[self.now.load(Ordering::Acquire)];
        &epoch.fresh[next.fetch_add(1, Ordering::Relaxed)]
    }
}

/// A kept connection that knows as much of HTTP/1.1 as these answers need.
pub(crate) struct Sender {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Sender {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self {
            stream,
            read: vec![0; 8 * 1024],
        }
    }

    /// The status of the answer, whose body was read.
    pub(crate) fn call(&mut self, request: &[u8]) -> u16 {
        self.stream.write_all(request).unwrap();
        let mut end = 0;
        loop {
            let more = self.stream.read(&mut self.read[end..]).unwrap();
            assert_ne!(more, 0, "the server hung up");
            end += more;
            if let Some(status) = complete(&self.read[..end]) {
                return status;
            }
        }
    }
}

/// The status of an answer, if all of it is there.
fn complete(answer: &[u8]) -> Option<u16> {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&answer[..head]).unwrap();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.unwrap().parse().unwrap();
    (answer.len() >= head + 4 + length).then(|| text[9..12].parse().unwrap())
}

/// When the requests of one of so many connections are due, at random: nobody marches in step with anybody else.
fn due(rate: usize, connections: usize, round: Duration) -> Vec<Duration> {
    let gap = connections as f64 / rate as f64;
    let mut at = 0.0;
    let mut all = Vec::new();
    loop {
        at -= gap * (1.0 - fastrand::f64()).ln();
        if at >= round.as_secs_f64() {
            return all;
        }
        all.push(Duration::from_secs_f64(at));
    }
}

/// Calls at each of these times, or as soon after it as the connection is free, and hands on what came of it.
fn keep_to(
    due: &[Duration],
    begin: Instant,
    awake: Duration,
    mut call: impl FnMut() -> (Kind, u16),
) -> Vec<Answer> {
    let mut answers = Vec::with_capacity(due.len());
    for due in due {
        let due = begin + *due;
        thread::sleep(due.saturating_duration_since(Instant::now() + awake));
        while Instant::now() < due {
            thread::yield_now();
        }
        let (kind, status) = call();
        let took = due.elapsed();
        answers.push(Answer { kind, status, took });
    }
    answers
}

/// A round of honest requests.
pub(crate) fn honest(server: SocketAddr, round: Duration, supply: &Supply) -> Vec<Answer> {
    let begin = Instant::now() + Duration::from_millis(20);
    let one = |number: usize| {
        let mut sender = Sender::connect(server);
        let due = due(HONEST, HONEST_CONNECTIONS, round);
        let mut calls = number;
        keep_to(&due, begin, AWAKE, || {
            calls += 1;
            let (kind, request) = match calls % 2 {
                0 => (Kind::Known, supply.known()),
                _ => (Kind::Fresh, supply.fresh()),
            };
            (kind, sender.call(request))
        })
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..HONEST_CONNECTIONS)
            .map(|number| scope.spawn(move || one(number)))
            .collect();
        all.into_iter().flat_map(|one| one.join().unwrap()).collect()
    })
}

/// A round of these, over and over: how many were sent, and how many were let in that should not be, or failed.
pub(crate) fn flood(server: SocketAddr, round: Duration, requests: &[Wire]) -> (usize, usize) {
    if requests.is_empty() {
        return (0, 0);
    }
    let begin = Instant::now() + Duration::from_millis(20);
    let next = &AtomicUsize::new(0);
    let one = || {
        let mut sender = Sender::connect(server);
        let due = due(FLOOD, FLOOD_CONNECTIONS, round);
        keep_to(&due, begin, Duration::ZERO, || {
            let request = &requests[next.fetch_add(1, Ordering::Relaxed) % requests.len()];
            (Kind::Fresh, sender.call(request))
        })
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..FLOOD_CONNECTIONS).map(|_| scope.spawn(one)).collect();
        let answers = all.into_iter().flat_map(|one| one.join().unwrap());
        answers.fold((0, 0), |(sent, odd), answer| {
            (sent + 1, odd + usize::from(answer.status != 401))
        })
    })
}
