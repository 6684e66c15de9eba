use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, HeaderMap, Method, Response};

use super::log::AuditLog;
use super::record::{AuditRecord, Decision, Ending};
use crate::clock::Clock;
use crate::error::Rejection;
use crate::principal::{By, Caller, Refused, Seen, Steps, Trail};

/// In bytes. What is longer is no method that anybody serves.
const LONGEST_METHOD: usize = 32;

/// A request whose answer is not known. Dropping it writes the record, so there is exactly one, however the request ends.
pub(crate) struct Open {
    log: AuditLog,
    clock: Arc<dyn Clock>,
    trail: Arc<Trail>,
    started: Duration,
    /// Taken when it is written.
    record: Option<AuditRecord>,
    answer: Answer,
}

/// What is told of the answer.
#[derive(Default)]
struct Answer {
    ending: Option<Ending>,
    rejection: Option<Rejection>,
}

/// What the host tells of the request.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) route: Option<Box<str>>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) request_id: Option<Box<str>>,
}

impl Open {
    pub(crate) fn new(
        log: AuditLog,
        clock: Arc<dyn Clock>,
        method: &Method,
        extensions: &Extensions,
    ) -> Self {
        let trail = Arc::new(Trail::default());
        // An authentication further outside knows no trail; whom it let in is known all the same.
        match Caller::of(extensions) {
            Some(Caller::Known(principal)) => trail.admitted(Seen::Known(Arc::clone(&principal.data))),
            Some(Caller::Anonymous(_)) => trail.admitted(Seen::Anonymous),
            None => {}
        }
        let record = AuditRecord {
            time: clock.now(),
            taken: Duration::ZERO,
            http_method: short(method),
            route: None,
            decision: Decision::Undecided,
            reason: "ok",
            ending: Ending::Cancelled,
            status: None,
            grpc_status: None,
            caller: None,
            refused_key: None,
            requirement: None,
            address: None,
            request_id: None,
        };
        Self {
            started: clock.monotonic(),
            log,
            clock,
            trail,
            record: Some(record),
            answer: Answer::default(),
        }
    }

    pub(crate) fn trail(&self) -> Arc<Trail> {
        Arc::clone(&self.trail)
    }

    pub(crate) fn tell(&mut self, told: Told) {
        if let Some(record) = &mut self.record {
            record.route = told.route;
            record.address = told.address;
            record.request_id = told.request_id;
        }
    }

    /// The head of the answer is known.
    pub(crate) fn answered<B>(mut self, response: &Response<B>) {
        self.answer.ending = Some(Ending::Answered);
        self.answer.rejection = response.extensions().get::<Rejection>().cloned();
        if let Some(record) = &mut self.record {
            record.status = Some(response.status().as_u16());
            record.grpc_status = grpc_status(response.headers());
        }
    }

    /// The inner service gave an error and no answer.
    pub(crate) fn failed(mut self) {
        self.answer.ending = Some(Ending::Failed);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(mut record) = self.record.take() else {
            return;
        };
        let steps = self.trail.close();
        record.taken = self.clock.monotonic().saturating_sub(self.started);
        record.ending = self.answer.ending.unwrap_or(Ending::Cancelled);
        record.decide(steps, self.answer.rejection.as_ref());
        self.log.push(record);
    }
}

impl AuditRecord {
    /// A refusal that is in the answer is what was decided. One that is not counts if a layer refused, which ends a request; a
    /// handler may have asked and gone on, and then its answer is no failure.
    fn decide(&mut self, steps: Steps, answered: Option<&Rejection>) {
        let passed = self.seen(steps.caller);
        let counts = |refusal: &Refused| refusal.by == By::Layer || !self.is_success();
        let refusal = steps.refusal.filter(|refusal| !steps.pending && counts(refusal));
        self.decision = match (answered, refusal) {
            (Some(rejection), refusal) => {
                let same = refusal.filter(|refusal| refusal.reason == rejection.reason());
                self.refused_key = same.and_then(|refusal| refusal.key_id);
                self.reason = rejection.reason();
                self.requirement = rejection.requirement().map(Box::from);
                Decision::Refused
            }
            (None, Some(refusal)) => {
                self.reason = refusal.reason;
                self.requirement = refusal.requirement;
                self.refused_key = refusal.key_id;
                Decision::Refused
            }
            (None, None) if steps.pending => Decision::Undecided,
            (None, None) => passed.unwrap_or_else(|| self.nobody_decided()),
        };
    }

    fn nobody_decided(&self) -> Decision {
        match self.ending {
            Ending::Cancelled => Decision::Undecided,
            Ending::Answered | Ending::Failed => Decision::Unguarded,
        }
    }

    fn is_success(&self) -> bool {
        self.status.is_some_and(|status| status < 400) && self.grpc_status.is_none_or(|status| status == 0)
    }
}

fn short(method: &Method) -> Method {
    match method.as_str().as_bytes().get(..LONGEST_METHOD) {
        // The start of a method is one too.
        Some(start) => Method::from_bytes(start).unwrap_or_default(),
        None => method.clone(),
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}
