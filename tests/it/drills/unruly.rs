//! A server on plain sockets that misbehaves as told, since an HTTP library would not.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What it does with whoever asks.
#[derive(Clone)]
pub(super) enum Mood {
    /// Sends these bytes and hangs up.
    Says(Vec<u8>),
    /// Reads the request and never answers.
    Hangs,
    /// Breaks the connection off before it has read the request.
    Resets,
    /// Promises a document and sends it byte by byte, with pauses.
    Drips,
    /// Sends a document of 50 MB, of which it tells the length before or not.
    Pours { tells_length: bool },
}

pub(super) struct Unruly {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    mood: Mutex<Mood>,
    /// Connections that are kept open and unanswered.
    held: Mutex<Vec<TcpStream>>,
    is_up: Mutex<bool>,
}

const POURED: usize = 50 * 1024 * 1024;

impl Mood {
    pub(super) fn answer(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n");
        Self::Says((head + body).into_bytes())
    }

    pub(super) fn json(body: &str) -> Self {
        Self::answer("200 OK", "content-type: application/json\r\n", body)
    }
}

impl Unruly {
    pub(super) fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::new(Shared {
                mood: Mutex::new(mood),
                held: Mutex::default(),
                is_up: Mutex::new(true),
            }),
            listening: Mutex::default(),
        };
        server.listen(listener);
        server
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/jwks", self.address)
    }

    pub(super) fn turns(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
        self.shared.held.lock().unwrap().clear();
    }

    /// Nobody listens there any more.
    pub(super) fn goes_down(&self) {
        let Some(listening) = self.listening.lock().unwrap().take() else {
            return;
        };
        *self.shared.is_up.lock().unwrap() = false;
        // Wakes the thread, which then sees it.
        drop(TcpStream::connect(self.address));
        listening.join().unwrap();
    }

    pub(super) fn comes_up(&self) {
        if !*self.shared.is_up.lock().unwrap() {
            *self.shared.is_up.lock().unwrap() = true;
            self.listen(TcpListener::bind(self.address).unwrap());
        }
    }

    fn listen(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        *self.listening.lock().unwrap() = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if !*shared.is_up.lock().unwrap() {
                    return;
                }
                let shared = Arc::clone(&shared);
                // Clients hang up in the middle; that is their right.
                std::thread::spawn(move || stream.and_then(|stream| shared.serve(stream)));
            }
        }));
    }
}

impl Drop for Unruly {
    fn drop(&mut self) {
        self.goes_down();
        self.shared.held.lock().unwrap().clear();
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mood = self.mood.lock().unwrap().clone();
        if let Mood::Resets = mood {
            // What is closed with unread bytes in it is reset.
            return stream.peek(&mut [0]).map(drop);
        }
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while stream.read_line(&mut line)? > 2 {
            line.clear();
        }
        let mut stream = stream.into_inner();
        match mood {
            Mood::Says(bytes) => {
                stream.write_all(&bytes)?;
                stream.shutdown(Shutdown::Write)
            }
            Mood::Hangs => {
                self.held.lock().unwrap().push(stream);
                Ok(())
            }
            Mood::Drips => drip(stream),
            Mood::Pours { tells_length } => pour(stream, tells_length),
            Mood::Resets => Ok(()),
        }
    }
}

fn drip(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")?;
    loop {
        stream.write_all(b" ")?;
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn pour(mut stream: TcpStream, tells_length: bool) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
    if tells_length {
        write!(stream, "content-length: {POURED}\r\n\r\n")?;
    } else {
        stream.write_all(b"connection: close\r\n\r\n")?;
    }
    let spaces = [b' '; 16 * 1024];
    for _ in 0..POURED / spaces.len() {
        stream.write_all(&spaces)?;
    }
    stream.shutdown(Shutdown::Write)
}
