//! One question, which whoever asked may drop.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use redis::{Cmd, RedisResult, Value};
use tokio::runtime::Handle;

use super::error::RedisRateLimitsError;
use super::line::{Connection, Line};

/// If it is dropped, a task waits for the answer in its place, and the connection is given up if none comes.
pub(super) struct Asking<'l> {
    line: &'l Arc<Line>,
    connection: Arc<Connection>,
    /// `None` once it is there.
    answer: Option<Answer>,
}

type Answer = Pin<Box<dyn Future<Output = RedisResult<Value>> + Send>>;

impl<'l> Asking<'l> {
    pub(super) fn new(line: &'l Arc<Line>, connection: Arc<Connection>, question: Arc<Cmd>) -> Self {
        let mut engine = connection.engine();
        Self {
            line,
            connection,
            answer: Some(Box::pin(async move { question.query_async(&mut engine).await })),
        }
    }
}

impl Future for Asking<'_> {
    type Output = Result<Value, RedisRateLimitsError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(answer) = &mut self.answer else {
            return Poll::Pending;
        };
        let answer = ready!(answer.as_mut().poll(context));
        self.answer = None;
        Poll::Ready(self.line.judge(&self.connection, answer))
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let (Some(answer), Ok(runtime)) = (self.answer.take(), Handle::try_current()) else {
            return;
        };
        // One is enough: what comes after it on the connection comes later.
        if let Some(watch) = self.connection.watch() {
            let line = Arc::downgrade(self.line);
            drop(runtime.spawn(async move {
                let answer = answer.await;
                if let Some(line) = line.upgrade() {
                    let _ = line.judge(watch.connection(), answer);
                }
            }));
        }
    }
}
