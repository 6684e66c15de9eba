//! API keys out of your own database: one `async fn`, no macro.
//!
//! ```sh
//! cargo run --example own_key_store
//! ```

#![allow(clippy::print_stdout, reason = "an example tells how to call it")]

use std::collections::HashMap;
use std::error::Error;

use axum::Router;
use axum::routing::get;
use tokio::sync::RwLock;
use tower_resource_server::{
    ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, InvalidScope, KeyDigest, KeyStore, Principal, Scope,
};

mod shared;

/// Stands for a table `api_keys` whose primary key is the 32 bytes of the digest.
struct MyStore {
    table: RwLock<HashMap<[u8; 32], Row>>,
}

struct Row {
    id: &'static str,
    owner: &'static str,
    scopes: &'static str,
}

impl KeyStore for MyStore {
    // Whatever your database's driver fails with. It goes to the log, and the caller gets 503: the key may be good.
    type Error = InvalidScope;

    // The layer asks with the digest; the key itself never gets here. `Ok(None)` is a refusal.
    async fn find(&self, key: &KeyDigest) -> Result<Option<ApiKeyRecord>, InvalidScope> {
        let table = self.table.read().await; // SELECT id, owner, scopes FROM api_keys WHERE digest = $1
        let Some(row) = table.get(key.as_bytes()) else {
            return Ok(None);
        };
        // What cannot be read is an error and not a record with less in it: nobody should have to guess why.
        let scopes: Result<Vec<_>, _> = row.scopes.split_whitespace().map(Scope::new).collect();
        let record = ApiKeyRecord::builder(row.id, row.owner, *key).scopes(scopes?);
        // Give back expired and revoked keys too, with `expires_at` and `revoked` set: the layer judges, and logs why.
        Ok(Some(record.build()))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let format = ApiKeyFormat::new("sk", "test")?;
    let (good, spoilt) = (format.mint()?, format.mint()?);
    let row = |id, scopes| Row {
        id,
        owner: "robot",
        scopes,
    };
    let table = RwLock::new(HashMap::from([
        (
            *good.digest().as_bytes(),
            row("key_1", "orders:read orders:write"),
        ),
        (*spoilt.digest().as_bytes(), row("key_2", "\"orders:read\"")),
    ]));
    let store = MyStore { table };
    let app = Router::new().route("/me", get(me)).layer(ApiKeyLayer::new(store));

    let (socket, url) = shared::listen().await?;
    let key = good.key().expose_str().ok_or("an API key is text")?;
    let spoilt = spoilt.key().expose_str().ok_or("an API key is text")?;
    println!("API_KEY={key}");
    println!("curl -si -H 'X-API-Key: {key}' {url}/me # 200");
    println!("curl -si -H 'X-API-Key: not-one-of-ours' {url}/me # 401");
    println!("curl -si -H 'X-API-Key: {spoilt}' {url}/me # 503");
    axum::serve(socket, app).await?;
    Ok(())
}

async fn me(caller: Principal) -> String {
    format!(
        "{} may {}\n",
        caller.subject().unwrap_or("somebody"),
        caller.scopes().as_str()
    )
}
