//! A way to a server that can be cut, mended, and led to another server.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug, Clone)]
pub(crate) struct Gate {
    address: String,
    /// Where it leads; nowhere while it is cut.
    way: Arc<watch::Sender<Option<String>>>,
}

impl Gate {
    pub(crate) async fn to(server: String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let way = Arc::new(watch::Sender::new(Some(server)));
        let seen = way.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, seen.clone()));
            }
        });
        Self { address, way }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Closes every connection, and every new one.
    pub(crate) fn cut(&self) {
        self.way.send_replace(None);
    }

    /// From now on it leads there.
    pub(crate) fn lead_to(&self, server: String) {
        self.way.send_replace(Some(server));
    }
}

/// Ends when either side ends, and when the way changes.
async fn carry(mut client: TcpStream, mut way: watch::Receiver<Option<String>>) {
    let Some(server) = way.borrow_and_update().clone() else {
        return;
    };
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = way.changed() => {}
    }
}
