//! The issuer's server, which misbehaves as it is told and counts who comes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the issuer behaves.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mood {
    /// It publishes this document, which is good for an hour.
    Publishes(String),
    /// It breaks every connection off.
    Breaks,
    /// 500.
    Fails,
    /// 429, and wants to be left alone for two minutes.
    Busy,
    /// 200, with a page for people.
    Garbage,
    /// It takes requests and does not answer them before its mood changes.
    Hangs,
}

#[derive(Clone)]
pub(crate) struct Login {
    mood: watch::Sender<Mood>,
    asked: Arc<AtomicUsize>,
}

impl Login {
    /// Serves on a free port of loopback, and says at which address the keys are.
    pub(crate) async fn start(mood: Mood) -> io::Result<(Self, String)> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}/jwks", socket.local_addr()?);
        let login = Self {
            mood: watch::Sender::new(mood),
            asked: Arc::default(),
        };
        let app = Router::new().fallback(answer).with_state(login.clone());
        let door = Door {
            socket,
            login: login.clone(),
        };
        tokio::spawn(axum::serve(door, app).into_future());
        Ok((login, url))
    }

    pub(crate) fn turns(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    pub(crate) fn hangs(&self) -> bool {
        *self.mood.borrow() == Mood::Hangs
    }

    /// How often it was asked for its keys.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Counts connections. Every answer closes its own, so that each is one request, also one that was broken off.
struct Door {
    socket: TcpListener,
    login: Login,
}

impl Listener for Door {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let (stream, from) = Listener::accept(&mut self.socket).await;
            self.login.asked.fetch_add(1, Ordering::Relaxed);
            if *self.login.mood.borrow() != Mood::Breaks {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

async fn answer(State(login): State<Login>) -> Response {
    let mut moods = login.mood.subscribe();
    let mood = moods.wait_for(|mood| *mood != Mood::Hangs).await;
    let mood = mood.map_or(Mood::Fails, |mood| mood.clone());
    let close = (CONNECTION, "close");
    match mood {
        Mood::Publishes(keys) => ([(CACHE_CONTROL, "max-age=3600"), close], keys).into_response(),
        Mood::Garbage => ([(CONTENT_TYPE, "text/html"), close], "<h1>Welcome!</h1>").into_response(),
        Mood::Busy => (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "120"), close]).into_response(),
        Mood::Fails | Mood::Breaks | Mood::Hangs => {
            (StatusCode::INTERNAL_SERVER_ERROR, [close]).into_response()
        }
    }
}
