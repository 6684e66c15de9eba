//! A server on loopback behind one choice: `serve CHOICE ALGORITHM [WORKERS] [JWKS]`.
//!
//! `CHOICE` is `none` or the name of a peer, `ALGORITHM` RS256, ES256 or EdDSA, `WORKERS` the number of threads that answer (1
//! if nothing is said). It prints its address. With `JWKS`, a file, it accepts the tokens of whoever has the keys; without, it
//! makes an issuer of its own and prints a good token.

use std::error::Error;
use std::io::{Write as _, stdout};
use std::{env, fs};

use peers::authority::{Authority, Terms};
use peers::crypto;
use peers::peer::{NONE, PEERS};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tower_resource_server::Algorithm;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let argument = |index: usize| arguments.get(index).map(String::as_str);
    let choice = argument(0).ok_or("serve CHOICE ALGORITHM [WORKERS] [JWKS]")?;
    let mut choices = [NONE].into_iter().chain(PEERS);
    let peer = choices
        .find(|peer| peer.name == choice)
        .ok_or("nobody of this name")?;
    let algorithm = match argument(1) {
        Some("RS256") => Algorithm::Rs256,
        Some("ES256") => Algorithm::Es256,
        Some("EdDSA") => Algorithm::EdDsa,
        _ => return Err("RS256, ES256 or EdDSA".into()),
    };
    let workers = argument(2).unwrap_or("1").parse()?;
    let (terms, token) = terms(algorithm, argument(3))?;

    crypto::install();
    crypto::use_rust_crypto(peer.rust_crypto);
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()?;
    let app = {
        let _context = runtime.enter();
        peer.service(&terms)
            .ok_or("it does not know this algorithm")?
            .router()
    };
    let server = runtime.spawn(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        print!("{token}");
        stdout().flush()?;
        axum::serve(listener, app).await
    });
    Ok(runtime.block_on(server)??)
}

/// Whose tokens count, and one of them, as a line, if nobody else can make it.
fn terms(algorithm: Algorithm, jwks: Option<&str>) -> Result<(Terms, String), Box<dyn Error>> {
    if let Some(path) = jwks {
        let jwks = fs::read_to_string(path)?;
        return Ok((Terms { algorithm, jwks }, String::new()));
    }
    let authority = Authority::new(algorithm);
    Ok((authority.terms(), authority.good(0) + "\n"))
}
