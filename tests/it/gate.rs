//! A way to a server that can be cut, mended, and led to another server.

use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug, Clone)]
pub(crate) struct Gate {
    address: String,
    way: Arc<watch::Sender<Way>>,
}

#[derive(Debug, Clone)]
struct Way {
    /// Nowhere while it is cut.
    server: Option<String>,
    /// Whether connections that were made before may go on.
    keeps: bool,
}

impl Gate {
    pub(crate) async fn to(server: String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let way = Arc::new(watch::Sender::new(Way {
            server: Some(server),
            keeps: false,
        }));
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
        self.leads(None, false);
    }

    /// From now on it leads there; connections are closed.
    pub(crate) fn lead_to(&self, server: String) {
        self.leads(Some(server), false);
    }

    /// From now on it leads there, and connections stay where they are.
    pub(crate) fn lead_new_ones_to(&self, server: String) {
        self.leads(Some(server), true);
    }

    fn leads(&self, server: Option<String>, keeps: bool) {
        self.way.send_replace(Way { server, keeps });
    }
}

/// Ends when either side ends, and when the way changes and keeps nobody.
async fn carry(mut client: TcpStream, mut way: watch::Receiver<Way>) {
    let Some(server) = way.borrow_and_update().server.clone() else {
        return;
    };
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    let mut carrying = pin!(copy_bidirectional(&mut client, &mut server));
    loop {
        tokio::select! {
            _ = &mut carrying => return,
            changed = way.changed() => if changed.is_err() || !way.borrow_and_update().keeps {
                return;
            }
        }
    }
}
