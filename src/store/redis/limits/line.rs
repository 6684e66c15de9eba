//! The connection to the engine. A task makes it, so that it takes the time of no request.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, RedisResult, Value};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::super::line::{CONNECT, try_to_connect};
use super::asking::Asking;
use super::error::RedisRateLimitsError;

/// For an answer. A connection on which none comes in this time is given up.
pub(super) const ANSWER: Duration = Duration::from_millis(500);
/// The longest pause after an engine could not be reached; the shortest is half of it.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Line {
    client: Client,
    state: watch::Sender<State>,
}

/// Only the task of an attempt leads away from `Connecting` and `Resting`; there is never more than one.
enum State {
    /// There is no connection. The next one who asks starts an attempt.
    Down,
    Connecting,
    Up(Arc<Connection>),
    /// It could not be reached, and is left alone for a moment.
    Resting(RedisRateLimitsError),
}

impl Line {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client: without_delay(client),
            state: watch::Sender::new(State::Down),
        }
    }

    /// A connection that was kept may lead to an engine that is gone or was replaced, so once another is tried. A request that was
    /// counted on the first is counted twice then.
    pub(super) async fn ask(self: &Arc<Self>, question: Cmd) -> Result<Value, RedisRateLimitsError> {
        let question = Arc::new(question);
        match self.ask_once(&question).await {
            Err(late @ RedisRateLimitsError::DeadlinePassed { .. }) => Err(late),
            Err(error) if error.is_about_the_connection() => self.ask_once(&question).await,
            answer => answer,
        }
    }

    async fn ask_once(self: &Arc<Self>, question: &Arc<Cmd>) -> Result<Value, RedisRateLimitsError> {
        let connection = self.connection().await?;
        Asking::new(self, connection, Arc::clone(question)).await
    }

    /// Waits for an attempt that is under way, which ends in time.
    async fn connection(self: &Arc<Self>) -> Result<Arc<Connection>, RedisRateLimitsError> {
        if let State::Up(connection) = &*self.state.borrow() {
            return Ok(Arc::clone(connection));
        }
        let mut state = self.state.subscribe();
        // Again, if the attempt's runtime has ended, or somebody has given up what it brought.
        for _ in 0..2 {
            self.connect()?;
            let connecting = state.wait_for(|state| !matches!(state, State::Connecting));
            match connecting.await.as_deref() {
                Ok(State::Up(connection)) => return Ok(Arc::clone(connection)),
                Ok(State::Resting(error)) => return Err(error.clone()),
                _ => {}
            }
        }
        Err(RedisRateLimitsError::NoRuntime)
    }

    fn connect(self: &Arc<Self>) -> Result<(), RedisRateLimitsError> {
        let runtime = Handle::try_current().map_err(|_| RedisRateLimitsError::NoRuntime)?;
        let starts = self.state.send_if_modified(|state| {
            let is_down = matches!(state, State::Down);
            if is_down {
                *state = State::Connecting;
            }
            is_down
        });
        if starts {
            drop(runtime.spawn(Attempt::of(self).connect(self.client.clone())));
        }
        Ok(())
    }

    /// What an answer, or that there is none, says about the connection.
    pub(super) fn judge(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        answer: RedisResult<Value>,
    ) -> Result<Value, RedisRateLimitsError> {
        let answer = answer.map_err(RedisRateLimitsError::from);
        match &answer {
            Err(error) if error.is_about_the_connection() => self.give_up(connection, error),
            _ => connection.answers.store(true, Ordering::Relaxed),
        }
        answer
    }

    /// The next one who asks connects anew; after a pause, if this one never was of any use.
    fn give_up(self: &Arc<Self>, connection: &Arc<Connection>, error: &RedisRateLimitsError) {
        let resting = match Handle::try_current() {
            Ok(runtime) if !connection.answers.load(Ordering::Relaxed) => Some(runtime),
            _ => None,
        };
        let is_given_up = self.state.send_if_modified(|state| {
            let is_this = matches!(state, State::Up(kept) if Arc::ptr_eq(kept, connection));
            if is_this {
                *state = match resting {
                    Some(_) => State::Resting(error.clone()),
                    None => State::Down,
                };
            }
            is_this
        });
        if let (true, Some(runtime)) = (is_given_up, resting) {
            drop(runtime.spawn(Attempt::of(self).rest()));
        }
    }
}

/// What is asked is one small write, which must not be held back until the one before it was answered.
fn without_delay(client: Client) -> Client {
    let address = client.get_connection_info().clone();
    let settings = address.tcp_settings().clone().set_nodelay(true);
    Client::open(address.set_tcp_settings(settings)).unwrap_or(client)
}

/// However it ends, by its runtime too, the next one who asks can start another. It keeps no line alive.
struct Attempt(Weak<Line>);

impl Attempt {
    fn of(line: &Arc<Line>) -> Self {
        Self(Arc::downgrade(line))
    }

    async fn connect(mut self, client: Client) {
        let connected = try_to_connect(&client, ANSWER).await;
        let error = match connected {
            Some(Ok(engine)) => {
                // From now on the state is not this attempt's any more.
                if let Some(line) = mem::take(&mut self.0).upgrade() {
                    line.state.send_replace(State::Up(Connection::new(engine)));
                }
                return;
            }
            Some(Err(error)) => error.into(),
            None => RedisRateLimitsError::DeadlinePassed { after: CONNECT },
        };
        let Some(line) = self.0.upgrade() else { return };
        line.state.send_replace(State::Resting(error));
        drop(line);
        self.rest().await;
    }

    /// Machines that lost their engine do not come back in one moment.
    async fn rest(self) {
        tokio::time::sleep(PAUSE.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(line) = self.0.upgrade() {
            line.state.send_replace(State::Down);
        }
    }
}

pub(super) struct Connection {
    engine: MultiplexedConnection,
    /// Whether it led to an engine that is no replica and answered, if only that something is wrong.
    answers: AtomicBool,
    is_watched: AtomicBool,
}

impl Connection {
    fn new(engine: MultiplexedConnection) -> Arc<Self> {
        Arc::new(Self {
            engine,
            answers: AtomicBool::new(false),
            is_watched: AtomicBool::new(false),
        })
    }

    pub(super) fn engine(&self) -> MultiplexedConnection {
        self.engine.clone()
    }

    /// `None`: somebody else waits for an answer already.
    pub(super) fn watch(self: &Arc<Self>) -> Option<Watch> {
        let is_first = !self.is_watched.swap(true, Ordering::Relaxed);
        is_first.then(|| Watch(Arc::clone(self)))
    }
}

/// Waiting for an answer in the place of somebody who does not.
pub(super) struct Watch(Arc<Connection>);

impl Watch {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.0
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.is_watched.store(false, Ordering::Relaxed);
    }
}
