//! A Redis or Valkey that is thrown away: on a port of its own, without persistence, and gone with the one who uses it.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Used by one test, which may stop, hang and kill it.
#[derive(Debug)]
pub(crate) struct RedisServer {
    program: PathBuf,
    /// Where a replica puts what it was sent.
    folder: PathBuf,
    port: u16,
    server: Option<Child>,
    /// Stops the server if this process ends without a word: the pipe is closed then.
    watcher: Option<(Child, ChildStdin)>,
}

/// The programs that are installed: `tests/run` installs both and insists.
pub(crate) fn engines() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in ["redis-server", "valkey-server"] {
        let in_path = std::env::var_os("PATH").unwrap_or_default();
        let mut places = std::env::split_paths(&in_path).map(|folder| folder.join(name));
        let Some(program) = places.find(|place| place.exists()) else {
            assert!(
                std::env::var_os("REQUIRE_REAL_PARTS").is_none(),
                "{name} is missing; run tests/run"
            );
            println!("{name} is not installed: skipped");
            continue;
        };
        found.push(program);
    }
    found
}

/// With a server of its own for each.
pub(crate) async fn on_each_engine(test: impl AsyncFn(RedisServer)) {
    for program in engines() {
        println!("{}", program.display());
        test(RedisServer::start(&program)).await;
    }
}

/// Real parts take their time; whatever is waited for comes within seconds.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..4_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it is not so: {what}");
}

impl RedisServer {
    pub(crate) fn start(program: &Path) -> Self {
        let mut server = Self {
            program: program.to_owned(),
            folder: new_folder(),
            port: 0,
            server: None,
            watcher: None,
        };
        for _ in 0..5 {
            server.port = free_port();
            if server.try_to_run() {
                return server;
            }
        }
        panic!("{} does not start", program.display());
    }

    /// Another of the same program.
    pub(crate) fn another(&self) -> Self {
        Self::start(&self.program)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn client(&self) -> redis::Client {
        redis::Client::open(format!("redis://{}/", self.address())).unwrap()
    }

    /// Asks it something, by words.
    pub(crate) async fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = self.client().get_multiplexed_async_connection().await.unwrap();
        let mut question = redis::Cmd::new();
        for word in words {
            question.arg(*word);
        }
        question.query_async(&mut connection).await.unwrap()
    }

    pub(crate) fn kill9(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            server.wait().unwrap();
        }
        // Only now: the watcher goes by the process id, which is free for others after this.
        self.unwatch();
    }

    /// Starts it anew after [`kill9`](Self::kill9), on the same port, empty.
    pub(crate) fn restart(&mut self) {
        for _ in 0..50 {
            if self.try_to_run() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{} does not start again", self.program.display());
    }

    /// Lets the server hang: connections stay, and nothing is answered.
    pub(crate) fn hang(&self) {
        self.signal("STOP");
    }

    /// Lets a server that hangs go on.
    pub(crate) fn go_on(&self) {
        self.signal("CONT");
    }

    /// Whether the server runs and answers.
    fn try_to_run(&mut self) -> bool {
        let port = self.port.to_string();
        let mut child = Command::new(&self.program)
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "no", "--repl-diskless-sync-delay", "0"])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut answers = false;
        for _ in 0..1_000 {
            std::thread::sleep(Duration::from_millis(10));
            answers = self.answers();
            if answers || child.try_wait().unwrap().is_some() {
                break;
            }
        }
        if !answers {
            let _ = child.kill();
            child.wait().unwrap();
            return false;
        }
        self.watcher = Some(watch(child.id(), &self.folder));
        self.server = Some(child);
        true
    }

    /// That somebody listens is not enough: who connects to a free port of this machine may meet himself.
    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        let mut answer = [0; 5];
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let answered = stream
            .write_all(b"PING\r\n")
            .and_then(|()| stream.read_exact(&mut answer));
        answered.is_ok() && answer == *b"+PONG"
    }

    fn signal(&self, signal: &str) {
        if let Some(server) = &self.server {
            let _ = Command::new("sh")
                .args(["-c", &format!("kill -{signal} {}", server.id())])
                .status();
        }
    }

    /// The watcher is killed before its pipe is closed, so it does nothing.
    fn unwatch(&mut self) {
        if let Some((mut watcher, pipe)) = self.watcher.take() {
            let _ = watcher.kill();
            let _ = watcher.wait();
            drop(pipe);
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill9();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn new_folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("tower-resource-server-redis-{}-{count}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir(&folder).unwrap();
    folder
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits for the end of its input, which is the end of this process, and then does what `Drop` did not.
fn watch(server: u32, folder: &Path) -> (Child, ChildStdin) {
    let script = format!("trap '' INT; read -r _; kill -KILL {server} 2>/dev/null; rm -rf \"$1\"");
    let mut watcher = Command::new("sh")
        .args(["-c", &script, "watcher"])
        .arg(folder)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let pipe = watcher.stdin.take().unwrap();
    (watcher, pipe)
}
