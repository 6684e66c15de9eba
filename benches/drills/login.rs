//! The issuer's server: it publishes keys, refuses connections, or takes them and says nothing.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Answers,
    Refuses,
    Hangs,
}

struct State {
    mood: Mood,
    documents: HashMap<&'static str, String>,
}

/// Lives on threads of its own until the process ends.
#[derive(Clone)]
pub(crate) struct Login {
    address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Login {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let state = State {
            mood: Mood::Answers,
            documents: HashMap::new(),
        };
        let login = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::new((Mutex::new(state), Condvar::new())),
        };
        let serving = login.clone();
        thread::spawn(move || serving.serve(listener));
        login
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn publish(&self, path: &'static str, jwks: String) {
        self.state.0.lock().unwrap().documents.insert(path, jwks);
    }

    pub(crate) fn turns(&self, mood: Mood) {
        let before = std::mem::replace(&mut self.state.0.lock().unwrap().mood, mood);
        self.state.1.notify_all();
        if before != mood && mood == Mood::Refuses {
            drop(TcpStream::connect(self.address)); // wakes the door, which then closes
        }
    }

    /// The state, once its mood is one of these.
    fn when<T>(&self, is_so: impl Fn(Mood) -> bool, look: impl FnOnce(&State) -> T) -> T {
        let state = self.state.0.lock().unwrap();
        look(
            &self
                .state
                .1
                .wait_while(state, |state| !is_so(state.mood))
                .unwrap(),
        )
    }

    fn serve(&self, mut listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().unwrap();
            if self.state.0.lock().unwrap().mood == Mood::Refuses {
                drop((stream, listener));
                self.when(|mood| mood != Mood::Refuses, |_| ());
                listener = TcpListener::bind(self.address).unwrap();
                continue;
            }
            let login = self.clone();
            // Whoever asks may have gone meanwhile.
            thread::spawn(move || login.answer(stream).unwrap_or_default());
        }
    }

    /// One request, one answer: the next comes over a connection of its own, and finds the door as it is then.
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let path = first.split(' ').nth(1).unwrap_or_default();
        let jwks = self.when(
            |mood| mood != Mood::Hangs,
            |state| state.documents.get(path).cloned(),
        );
        let jwks = jwks.unwrap_or_default();
        let age = if path == "/hasty" { 2 } else { 3600 };
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: max-age={age}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{jwks}",
            jwks.len()
        )
    }
}
