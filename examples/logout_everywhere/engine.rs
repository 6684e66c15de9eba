//! The list over Redis or Valkey, at the address in `REDIS_URL`.

use std::env;
use std::error::Error;

use tower_resource_server::RedisRevocations;

use crate::shared::Sentence;

/// Everything that the engine holds is loaded when this returns. The address is in no message: it may hold a password.
pub(crate) async fn revocations() -> Result<RedisRevocations, Sentence> {
    let url = env::var("REDIS_URL").map_err(|_| Sentence("REDIS_URL is not text".to_owned()))?;
    let client = redis::Client::open(url).map_err(|error| {
        Sentence(format!(
            "REDIS_URL is no address that can be used, as redis://127.0.0.1:6379/ is: {error}"
        ))
    })?;
    // Apart from what a real fleet may keep in the same engine.
    let revocations = RedisRevocations::builder(client)
        .prefix("logout_everywhere")
        .build();
    let ready = revocations.warm_up().await;
    ready.map_err(|error| Sentence(format!("REDIS_URL cannot be used: {}", with_causes(&error))))?;
    Ok(revocations)
}

/// An error and its causes in one line, whatever an engine has answered. Some errors say what their cause says.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let mut texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ").replace(char::is_control, " ")
}
