//! The engine's keys, and everything that is asked of it.

use std::fmt;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::StreamReadReply;
use redis::{Client, Cmd, FromRedisValue, Pipeline, Value};

use super::error::RedisRevocationsError;
use super::line::{Line, connect};
use super::wire::Written;

/// How long the engine may be silent when there are no news.
const SILENCE: Duration = Duration::from_secs(1);
/// For an answer, beyond that.
const ANSWER: Duration = Duration::from_secs(2);
/// For replicas to have a revocation.
const REPLICATION: Duration = Duration::from_secs(1);
/// From the last answer until a node that hears must have noticed that it does not.
pub(super) const LONGEST_SILENCE: Duration = Duration::from_secs(3);
const LONGEST_NEWS: u32 = 100_000;
const PAGE: u32 = 1_000;
const MERGE: &str = include_str!("merge.lua");

/// A place in the news: milliseconds of the engine's clock, and a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct NewsId(u64, u64);

/// Where a node was, in which engine.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) generation: String,
    /// The last that was heard.
    pub(super) last: NewsId,
    /// The newest that was in it when something was learnt from it, by hearing, loading or revoking.
    pub(super) told: NewsId,
}

/// A name, an entry and where it stood.
pub(super) type News = (NewsId, Vec<u8>, Vec<u8>);

pub(super) struct Engine {
    client: Client,
    revoked: String,
    until: String,
    news: String,
    generation: String,
    /// `WAIT` keeps a connection to itself, so who only asks has another.
    telling: Line,
    asking: Line,
}

impl Engine {
    pub(super) fn new(client: Client, prefix: &str) -> Self {
        // One hash tag: the script may touch all of them, in a cluster too.
        let key = |name: &str| format!("{{{prefix}}}:{name}");
        Self {
            client,
            revoked: key("revoked"),
            until: key("until"),
            news: key("news"),
            generation: key("generation"),
            telling: Line::new(ANSWER + REPLICATION),
            asking: Line::new(ANSWER),
        }
    }

    /// The newest news after it, and how many replicas have it.
    pub(super) async fn revoke(
        &self,
        order: &Written,
        replicas: u32,
    ) -> Result<(NewsId, u32), RedisRevocationsError> {
        let mut question = Pipeline::new();
        question.add_command(self.merge(std::slice::from_ref(order), replicas > 0));
        if replicas > 0 {
            let limit = u64::try_from(REPLICATION.as_millis()).unwrap_or(1_000);
            question.cmd("WAIT").arg(replicas).arg(limit);
        }
        let answers: Vec<Value> = self.telling.ask(&self.client, &question).await?;
        let mut answers = answers.into_iter();
        let newest: String = read(answers.next().unwrap_or(Value::Nil))?;
        let had = answers.next().map_or(Ok(0), read)?;
        Ok((NewsId::read(&newest), had))
    }

    /// What is held under these names, in their order.
    pub(super) async fn entries(
        &self,
        names: &[String],
    ) -> Result<Vec<Option<Vec<u8>>>, RedisRevocationsError> {
        let mut question = Pipeline::new();
        question.cmd("HMGET").arg(&self.revoked).arg(names);
        let answers: (Vec<Option<Vec<u8>>>,) = self.asking.ask(&self.client, &question).await?;
        Ok(answers.0)
    }

    /// A connection of one's own, to hear with.
    pub(super) async fn listen(&self) -> Result<Ear<'_>, RedisRevocationsError> {
        let connection = connect(&self.client, SILENCE + ANSWER).await?;
        Ok(Ear {
            engine: self,
            connection,
        })
    }

    fn merge(&self, orders: &[Written], even_if_the_same: bool) -> Cmd {
        // The whole script each time: it is short, and an engine that was restarted knows no digest of it.
        let mut merge = redis::cmd("EVAL");
        merge
            .arg(MERGE)
            .arg(3)
            .arg(&[&self.revoked, &self.until, &self.news])
            .arg(LONGEST_NEWS)
            .arg(u8::from(even_if_the_same));
        for entry in orders {
            let parts = [&*entry.name, entry.kind, &*entry.cut, &*entry.until];
            merge.arg(&parts);
        }
        merge
    }
}

/// The client knows a password.
impl fmt::Debug for Engine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Engine")
            .field("revoked", &self.revoked)
            .finish_non_exhaustive()
    }
}

/// A connection that hears.
pub(super) struct Ear<'e> {
    engine: &'e Engine,
    connection: MultiplexedConnection,
}

impl Ear<'_> {
    /// The generation, which is named now if it has none: a copy of the data keeps it, an engine that came back empty has
    /// another.
    pub(super) async fn generation(&mut self) -> Result<String, RedisRevocationsError> {
        let name = format!("{:032x}", fastrand::u128(..));
        let mut question = Pipeline::new();
        let key = &self.engine.generation;
        question.cmd("SET").arg(key).arg(name).arg("NX").ignore();
        question.cmd("GET").arg(key);
        let (name,): (String,) = question.query_async(&mut self.connection).await?;
        Ok(name)
    }

    /// Where the news end.
    pub(super) async fn newest(&mut self) -> Result<NewsId, RedisRevocationsError> {
        let mut question = redis::cmd("XREVRANGE");
        question
            .arg(&self.engine.news)
            .arg("+")
            .arg("-")
            .arg("COUNT")
            .arg(1);
        let newest: Vec<(String, Value)> = question.query_async(&mut self.connection).await?;
        Ok(newest
            .first()
            .map_or(NewsId::default(), |(id, _)| NewsId::read(id)))
    }

    /// Whether everything after this place can be heard from here.
    pub(super) async fn knows(&mut self, place: &Place) -> Result<bool, RedisRevocationsError> {
        let ids = [place.last, place.last.max(place.told)];
        let mut question = Pipeline::new();
        question.cmd("GET").arg(&self.engine.generation);
        for id in ids {
            // Where nothing was heard yet, there must be nothing to hear: the beginning may be cut off.
            let (first, last) = if id == NewsId::default() {
                ("-".to_owned(), "+".to_owned())
            } else {
                (id.to_string(), id.to_string())
            };
            question.cmd("XRANGE").arg(&self.engine.news);
            question.arg(first).arg(last).arg("COUNT").arg(1);
        }
        let (generation, last, told): (Option<String>, Vec<Value>, Vec<Value>) =
            question.query_async(&mut self.connection).await?;
        let fits = |(id, found): (NewsId, Vec<Value>)| found.is_empty() == (id == NewsId::default());
        Ok(generation.as_deref() == Some(&*place.generation) && ids.into_iter().zip([last, told]).all(fits))
    }

    /// A page of all entries, and the cursor of the next; 0 at the end.
    pub(super) async fn page(
        &mut self,
        cursor: u64,
    ) -> Result<(u64, Vec<(Vec<u8>, Vec<u8>)>), RedisRevocationsError> {
        let mut question = redis::cmd("HSCAN");
        question
            .arg(&self.engine.revoked)
            .arg(cursor)
            .arg("COUNT")
            .arg(PAGE);
        Ok(question.query_async(&mut self.connection).await?)
    }

    /// The newest news after it.
    pub(super) async fn put_back(&mut self, orders: &[Written]) -> Result<NewsId, RedisRevocationsError> {
        let merge = self.engine.merge(orders, false);
        let newest: String = merge.query_async(&mut self.connection).await?;
        Ok(NewsId::read(&newest))
    }

    /// What came after this place; nothing, if nothing came for a while.
    pub(super) async fn news(&mut self, after: NewsId) -> Result<Vec<News>, RedisRevocationsError> {
        let mut question = redis::cmd("XREAD");
        let silence = u64::try_from(SILENCE.as_millis()).unwrap_or(1_000);
        question.arg("COUNT").arg(PAGE).arg("BLOCK").arg(silence);
        question
            .arg("STREAMS")
            .arg(&self.engine.news)
            .arg(after.to_string());
        let reply: Option<StreamReadReply> = question.query_async(&mut self.connection).await?;
        let entries = reply.into_iter().flat_map(|reply| reply.keys);
        let news = entries.flat_map(|stream| stream.ids).map(|entry| {
            let field = |name: &str| entry.get(name).unwrap_or_default();
            (NewsId::read(&entry.id), field("name"), field("entry"))
        });
        Ok(news.collect())
    }
}

impl NewsId {
    fn read(text: &str) -> Self {
        let read = || {
            let (time, count) = text.split_once('-')?;
            Some(Self(time.parse().ok()?, count.parse().ok()?))
        };
        read().unwrap_or_default()
    }
}

impl fmt::Display for NewsId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.0, self.1)
    }
}

fn read<T: FromRedisValue>(value: Value) -> Result<T, RedisRevocationsError> {
    redis::from_redis_value(value).map_err(|error| redis::RedisError::from(error).into())
}
