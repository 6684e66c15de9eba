//! What a case is: something that is done so many times, beside what it is compared with.

use std::convert::Infallible;
use std::future::Ready;
use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Request, Response};
use tower::Service;
use tower::util::ServiceFn;

/// Does it so many times, and tells how long that took.
pub(crate) type Work = Box<dyn FnMut(u64) -> Duration>;

/// A service without any layer.
pub(crate) type Bare = ServiceFn<fn(Request<()>) -> Ready<Result<Response<String>, Infallible>>>;

/// A row of the table.
pub(crate) struct Case {
    pub(crate) id: String,
    /// The case that this one's ratio is taken of.
    pub(crate) limit: Option<String>,
    /// Called only for what was asked for, since a million keys take their time.
    pub(crate) prepare: Box<dyn Fn() -> Measured>,
}

pub(crate) struct Measured {
    pub(crate) work: Work,
    /// The same requests without what is measured.
    pub(crate) floor: Option<Work>,
    /// Whether everything happens on the calling thread, the only one whose allocations are counted.
    pub(crate) on_this_thread: bool,
}

impl Case {
    pub(crate) fn new(id: impl Into<String>, prepare: impl Fn() -> Measured + 'static) -> Self {
        Self {
            id: id.into(),
            limit: None,
            prepare: Box::new(prepare),
        }
    }

    pub(crate) fn limit(mut self, id: impl Into<String>) -> Self {
        self.limit = Some(id.into());
        self
    }
}

impl Measured {
    /// What is no request, and has no floor.
    pub(crate) fn alone(work: Work) -> Self {
        Self {
            work,
            floor: None,
            on_this_thread: true,
        }
    }

    /// A service that is called with each of these in turns, above the same calls of a bare one.
    pub(crate) fn calls<S>(service: S, presented: Presented) -> Self
    where
        S: Service<Request<()>, Response: Answer, Error = Infallible> + 'static,
    {
        Self {
            floor: Some(calls(bare(), presented.clone())),
            ..Self::alone(calls(service, presented))
        }
    }

    /// A service that never sees the same twice: after all of these it is made anew, while no time is taken.
    pub(crate) fn fresh<S>(service: impl Fn() -> S + 'static, presented: Presented) -> Self
    where
        S: Service<Request<()>, Response: Answer, Error = Infallible> + 'static,
    {
        Self {
            floor: Some(calls(bare(), presented.clone())),
            ..Self::alone(fresh(service, presented))
        }
    }
}

/// Whether it was let in: nobody wants to know how fast a refusal is here.
pub(crate) trait Answer {
    fn is_good(&self) -> bool;
}

impl<B> Answer for Response<B> {
    fn is_good(&self) -> bool {
        self.status().is_success()
    }
}

/// Header values, in turns.
#[derive(Clone)]
pub(crate) struct Presented {
    header: HeaderName,
    values: Rc<[HeaderValue]>,
    next: usize,
}

impl Presented {
    pub(crate) fn new(header: HeaderName, values: impl IntoIterator<Item = String>) -> Self {
        let values = values.into_iter().map(|value| {
            let value: HeaderValue = value.parse().unwrap();
            drop(value.clone()); // its first clone allocates, and none that is measured
            value
        });
        Self {
            header,
            values: values.collect(),
            next: 0,
        }
    }

    /// Only the first of them.
    pub(crate) fn first(&self, count: usize) -> Self {
        Self {
            header: self.header.clone(),
            values: self.values.iter().take(count).cloned().collect(),
            next: 0,
        }
    }

    pub(crate) fn value(&self, number: usize) -> HeaderValue {
        self.values[number].clone()
    }

    pub(crate) fn len(&self) -> u64 {
        self.values.len() as u64
    }

    fn request(&mut self) -> Request<()> {
        let value = self.values[self.next].clone();
        self.next += 1;
        if self.next == self.values.len() {
            self.next = 0;
        }
        // A server has just read it, and left it in the processor's cache.
        for byte in value.as_bytes().iter().step_by(64) {
            black_box(*byte);
        }
        let mut request = Request::new(());
        request.headers_mut().insert(self.header.clone(), value);
        request
    }
}

pub(crate) fn bare() -> Bare {
    tower::service_fn(|_| std::future::ready(Ok(Response::new(String::new()))))
}

/// Does it so many times.
pub(crate) fn time(times: u64, mut work: impl FnMut()) -> Duration {
    let begun = Instant::now();
    for _ in 0..times {
        work();
    }
    begun.elapsed()
}

pub(crate) fn call<S>(service: &mut S, request: Request<()>)
where
    S: Service<Request<()>, Response: Answer, Error = Infallible>,
{
    let answer = service.call(request).now_or_never().unwrap().unwrap();
    assert!(black_box(answer).is_good(), "refused");
}

pub(crate) fn calls<S>(mut service: S, mut presented: Presented) -> Work
where
    S: Service<Request<()>, Response: Answer, Error = Infallible> + 'static,
{
    for _ in 0..presented.len() {
        call(&mut service, presented.request()); // whatever can be known is known from now on
    }
    Box::new(move |times| time(times, || call(&mut service, presented.request())))
}

fn fresh<S>(service: impl Fn() -> S + 'static, mut presented: Presented) -> Work
where
    S: Service<Request<()>, Response: Answer, Error = Infallible> + 'static,
{
    let mut innocent = service();
    let mut unseen = presented.len();
    Box::new(move |mut times| {
        let mut spent = Duration::ZERO;
        while times > 0 {
            if unseen == 0 {
                innocent = service();
                unseen = presented.len();
            }
            let now = times.min(unseen);
            spent += time(now, || call(&mut innocent, presented.request()));
            times -= now;
            unseen -= now;
        }
        spent
    })
}
