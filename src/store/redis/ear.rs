//! The connection that a node listens with. Everything that it must find in one and the same engine goes over it.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::StreamReadReply;
use redis::{Pipeline, RedisResult, Value};

use super::engine::Engine;
use super::error::RedisRevocationsError;
use super::line::{ANSWER, connect, must_be_primary, read};
use super::news::{NewsId, Place, Spot, Turn};
use super::wire::Written;

/// How long the engine may be silent when there are no news.
const SILENCE: Duration = Duration::from_millis(500);
/// From the last question that was answered until a node that hears must have noticed that it does not.
pub(super) const LONGEST_SILENCE: Duration = Duration::from_secs(3);
/// Seconds for which the engine remembers that somebody is putting back.
const RETURNING: u32 = 10;
const ENTRIES: u32 = 1_000;
const NEWS: usize = 2_000;

pub(super) struct Ear<'e> {
    engine: &'e Engine,
    connection: MultiplexedConnection,
}

impl<'e> Ear<'e> {
    pub(super) async fn of(engine: &'e Engine) -> Result<Self, RedisRevocationsError> {
        let connection = connect(&engine.client, SILENCE + ANSWER).await?;
        Ok(Self { engine, connection })
    }

    /// An engine is of one generation for as long as it does not lose what it holds; copies of it are of the same. `None`: it
    /// holds nothing yet, or nothing any more.
    pub(super) async fn generation(&mut self) -> Result<Option<String>, RedisRevocationsError> {
        let mut question = redis::cmd("GET");
        question.arg(&self.engine.generation);
        Ok(question.query_async(&mut self.connection).await?)
    }

    /// The engine has all that this node knows; unless somebody else is putting back, it is complete from now on.
    pub(super) async fn name_generation(&mut self) -> Result<Option<String>, RedisRevocationsError> {
        let mut question = redis::cmd("GET");
        question.arg(&self.engine.returning);
        let others: Option<Value> = question.query_async(&mut self.connection).await?;
        if others.is_some() {
            return Ok(None);
        }
        let mut question = redis::cmd("SET");
        let name = format!("{:032x}", fastrand::u128(..));
        question.arg(&self.engine.generation).arg(name).arg("NX");
        let _: Value = question.query_async(&mut self.connection).await?;
        self.generation().await
    }

    /// Where the news end. A stream without any gets one about nobody, since before the first there is no place.
    pub(super) async fn newest(&mut self) -> Result<Spot, RedisRevocationsError> {
        let news = &self.engine.news;
        let mut question = redis::cmd("XREVRANGE");
        question.arg(news).arg("+").arg("-").arg("COUNT").arg(1);
        let newest: Vec<Entry> = question.query_async(&mut self.connection).await?;
        if let Some(newest) = newest.into_iter().next() {
            return Ok(spot(newest));
        }
        let mut question = redis::cmd("XADD");
        question
            .arg(news)
            .arg("*")
            .arg("name")
            .arg("")
            .arg("entry")
            .arg("");
        let id: String = question.query_async(&mut self.connection).await?;
        Ok(Spot {
            id: NewsId::read(&id),
            name: Vec::new(),
        })
    }

    /// A page of all entries, and the cursor of the next; 0 at the end.
    pub(super) async fn page(
        &mut self,
        cursor: u64,
    ) -> Result<(u64, Vec<(Vec<u8>, Vec<u8>)>), RedisRevocationsError> {
        let mut question = redis::cmd("HSCAN");
        question.arg(&self.engine.revoked).arg(cursor);
        question.arg("COUNT").arg(ENTRIES);
        Ok(question.query_async(&mut self.connection).await?)
    }

    /// That what the engine has lost is being put back: nobody should believe it yet. An engine that takes no orders takes this
    /// neither.
    pub(super) async fn announce(&mut self) {
        let mut question = redis::cmd("SET");
        question
            .arg(&self.engine.returning)
            .arg("")
            .arg("EX")
            .arg(RETURNING);
        let _: Result<Value, _> = question.query_async(&mut self.connection).await;
    }

    /// Reads what came after this place, sees whether it is the engine of this place, and then tells the engine what it may lack:
    /// in this order, so that nothing was cut off between the place and the news. `waits`: for news, if there are none.
    pub(super) async fn turn(
        &mut self,
        place: &Place,
        waits: bool,
        sent: &[Written],
    ) -> Result<Turn, RedisRevocationsError> {
        let engine = self.engine;
        let last = place.last.id.to_string();
        let mut question = Pipeline::new();
        // Whoever cannot be told anything can be heard all the same.
        question.ignore_errors();
        let read_news = question.cmd("XREAD").arg("COUNT").arg(NEWS);
        if waits {
            let silence = u64::try_from(SILENCE.as_millis()).unwrap_or(500);
            read_news.arg("BLOCK").arg(silence);
        }
        read_news.arg("STREAMS").arg(&engine.news).arg(&last);
        question.cmd("XRANGE").arg(&engine.news).arg(&last).arg(&last);
        question.cmd("GET").arg(&engine.generation);
        question.cmd("ROLE");
        if !sent.is_empty() {
            question.add_command(engine.merge(sent, false));
        }
        let answers: Vec<RedisResult<Value>> = question.query_async(&mut self.connection).await?;
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or(Ok(Value::Nil));
        let news = read_news_of(read(next()?)?);
        let at_place: Vec<Entry> = read(next()?)?;
        let generation: Option<String> = read(next()?)?;
        must_be_primary(&next()?)?;
        let newest: Option<String> = next().ok().and_then(|newest| read(newest).ok());
        Ok(Turn {
            is_all: news.len() < NEWS,
            news,
            is_intact: is_of(place, generation.as_deref())
                && at_place.into_iter().map(spot).eq([place.last.clone()]),
            generation,
            sent: newest.map(|id| NewsId::read(&id)),
        })
    }
}

/// A place in an engine that lacked something is in this one, too, when somebody has put it back.
fn is_of(place: &Place, generation: Option<&str>) -> bool {
    place.generation.is_none() || place.generation.as_deref() == generation
}

/// An id, and fields with their values.
type Entry = (String, Vec<(Vec<u8>, Vec<u8>)>);

fn spot((id, fields): Entry) -> Spot {
    let name = fields.into_iter().find(|(field, _)| field == b"name");
    Spot {
        id: NewsId::read(&id),
        name: name.map(|(_, name)| name).unwrap_or_default(),
    }
}

fn read_news_of(reply: Option<StreamReadReply>) -> Vec<(Spot, Vec<u8>)> {
    let streams = reply.into_iter().flat_map(|reply| reply.keys);
    let news = streams.flat_map(|stream| stream.ids).map(|entry| {
        let field = |name: &str| entry.get(name).unwrap_or_default();
        let spot = Spot {
            id: NewsId::read(&entry.id),
            name: field("name"),
        };
        (spot, field("entry"))
    });
    news.collect()
}
