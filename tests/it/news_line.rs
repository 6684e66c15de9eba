//! A way to PostgreSQL that can be cut for news alone: look-ups go through, and whoever listens loses its connection.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The listening end. Once it is cut, it stays so.
#[derive(Debug, Clone)]
pub(crate) struct NewsLine {
    url: String,
    cut: Arc<watch::Sender<bool>>,
}

impl NewsLine {
    /// To the database of this address, `postgres://user@host:port/name`.
    pub(crate) async fn to(url: &str) -> Self {
        let (user, rest) = url.split_once('@').unwrap();
        let (server, name) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("{user}@{}/{name}", listener.local_addr().unwrap());
        let line = Self {
            url,
            cut: Arc::default(),
        };
        let (cut, server) = (line.cut.subscribe(), server.to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if let Ok(server) = TcpStream::connect(&server).await {
                    tokio::spawn(carry(client, server, cut.clone()));
                }
            }
        });
        line
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn cut(&self) {
        self.cut.send_replace(true);
    }
}

/// Ends when either side ends, and when the line is cut for a client that listens.
async fn carry(client: TcpStream, server: TcpStream, mut cut: watch::Receiver<bool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asks = async {
        let (mut listens, mut bytes) = (false, vec![0; 16 * 1024]);
        loop {
            let length = tokio::select! {
                read = from_client.read(&mut bytes) => read.unwrap_or(0),
                _ = cut.wait_for(|cut| *cut), if listens => return,
            };
            let asked = &bytes[..length];
            listens |= asked.windows(6).any(|word| word == b"LISTEN");
            if length == 0 || (listens && *cut.borrow()) || to_server.write_all(asked).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = asks => {}
        _ = copy(&mut from_server, &mut to_client) => {}
    }
}
