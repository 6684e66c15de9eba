//! What every example needs and none is about: a socket to listen on.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::{env, fmt, io};

use tokio::net::TcpListener;

/// Listens on loopback and says where. The port is `PORT` of the environment: 3000 if it is not set, a free one if it is 0.
pub(crate) async fn listen() -> Result<(TcpListener, String), Sentence> {
    let port = env::var_os("PORT").unwrap_or_else(|| "3000".into());
    let number = port.to_str().and_then(|port| port.parse::<u16>().ok());
    let port = number.ok_or_else(|| Sentence(format!("PORT={} is no port number", port.display())))?;
    let (socket, address) = bind(port).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Sentence(format!(
            "port {port} is taken; set PORT to another one, or to 0 for any that is free"
        )),
        _ => Sentence(format!("cannot listen on port {port}: {error}")),
    })?;
    let url = format!("http://{address}");
    println!("listening on {url}");
    Ok((socket, url))
}

async fn bind(port: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// An error for people. A `main` that returns an error prints its `Debug`, so that is the sentence too.
pub(crate) struct Sentence(pub(crate) String);

impl fmt::Debug for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Sentence {}
