//! One client's token on several threads at once: they fight for whatever counts its users.

use std::convert::Infallible;
use std::hint;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use tower::{Layer, Service};
use tower_resource_server::JwtLayer;

use crate::case::{Case, Measured, Presented, Work, bare, calls};
use crate::login::{Login, Tokens};

/// How often it is tried again, if the threads did not run at once.
const TRIES: usize = 50;

/// The same token on one thread and on two, and for comparison two threads with a token for each. All threads share the
/// service and what it remembers.
pub(crate) fn hot_token(tokens: &Tokens) -> [Case; 3] {
    let case = |id: &str, values: fn(&Login) -> Vec<HeaderValue>| {
        let tokens = Rc::clone(tokens);
        Case::new(id, move || {
            let service = JwtLayer::new(tokens.issuer()).layer(bare());
            let values = values(&tokens);
            Measured {
                floor: Some(on_threads(bare(), values.clone())),
                work: on_threads(service, values),
                on_this_thread: false,
            }
        })
    };
    let alone = "hot_token/1_threads";
    [
        case(alone, |login| vec![login.known().value(0)]),
        case("hot_token/2_threads", |login| vec![login.known().value(0); 2]).limit(alone),
        case("hot_token/2_threads/of_two", |login| {
            vec![login.known().value(0), login.known().value(1)]
        })
        .limit(alone),
    ]
}

/// A thread for each of these.
fn on_threads<S, B>(service: S, values: Vec<HeaderValue>) -> Work
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
{
    Box::new(move |times| {
        let mut spent = Duration::ZERO;
        for _ in 0..TRIES {
            let spans = spans(times, &service, &values);
            let together: Duration = spans.iter().map(|(begun, ended)| *ended - *begun).sum();
            spent = together / spans.len() as u32;
            if at_once(&spans) {
                break; // and otherwise again, since somebody else had one of the processors
            }
        }
        spent
    })
}

/// Whether nearly all of the time was that of all threads.
fn at_once(spans: &[(Instant, Instant)]) -> bool {
    let (begun, ended) = (spans.iter().map(|span| span.0), spans.iter().map(|span| span.1));
    let all = ended.clone().min().zip(begun.clone().max());
    let any = ended.max().zip(begun.min());
    all.zip(any)
        .is_some_and(|((first_end, last_begin), (end, begin))| {
            first_end.saturating_duration_since(last_begin) * 10 > (end - begin) * 9
        })
}

/// When each thread began, and when it was done.
fn spans<S, B>(times: u64, service: &S, values: &[HeaderValue]) -> Vec<(Instant, Instant)>
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
{
    let ready = AtomicUsize::new(0);
    let worker = |service: S, value: &HeaderValue| {
        // A header value of its own, as a server has: a shared one would be fought for, too.
        let presented = Presented::new(AUTHORIZATION, [value.to_str().unwrap().to_owned()]);
        let mut work = calls(service, presented);
        ready.fetch_add(1, Ordering::SeqCst);
        while ready.load(Ordering::SeqCst) < values.len() {
            hint::spin_loop();
        }
        let begun = Instant::now();
        work(times);
        (begun, Instant::now())
    };
    thread::scope(|scope| {
        let start = |value| {
            let (service, worker) = (service.clone(), &worker);
            scope.spawn(move || worker(service, value))
        };
        let threads: Vec<_> = values.iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
