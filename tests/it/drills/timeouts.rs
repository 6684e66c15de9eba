//! The times that the crate's own client gives an issuer, in real time: this is where they are waited for.

use std::time::Duration;

use http::Request;
#[cfg(target_os = "linux")]
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tower_resource_server::{Fetch, FetchError, HttpFetch};

use super::unruly::{Mood, Unruly};

/// How long the client took, and what it said in the end.
async fn failure(url: String) -> (Duration, reqwest::Error) {
    let start = tokio::time::Instant::now();
    let request = Request::get(url).body(()).unwrap();
    let Err(FetchError::Transport(cause)) = HttpFetch::new().fetch(request).await else {
        panic!("it did not fail as it should")
    };
    (start.elapsed(), *cause.downcast::<reqwest::Error>().unwrap())
}

#[tokio::test]
async fn an_answer_may_take_five_seconds_in_all_however_it_is_delayed() {
    let hanging = Unruly::start(Mood::Hangs);
    let dripping = Unruly::start(Mood::Drips);
    let (hung, dripped) = tokio::join!(failure(hanging.url()), failure(dripping.url()));
    for (took, error) in [hung, dripped] {
        assert!(error.is_timeout() && !error.is_connect(), "{error:?}");
        assert!(took >= Duration::from_millis(4900), "{took:?}");
    }
}

/// A listener whose queue is full, so that whoever connects waits; and those who fill it.
#[cfg(target_os = "linux")]
async fn full() -> (TcpListener, std::net::SocketAddr, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await
    {
        queued.push(stream.unwrap());
    }
    (listener, address, queued)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_may_take_two_seconds() {
    let (_listener, address, _queued) = full().await;
    let (took, error) = failure(format!("http://{address}/jwks")).await;
    // The time for the whole is told as something else than a connection that failed.
    assert!(error.is_connect() && error.is_timeout(), "{error:?}");
    assert!(took >= Duration::from_millis(1900), "{took:?}");
}
