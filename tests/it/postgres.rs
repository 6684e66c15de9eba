//! A PostgreSQL server that is thrown away: of its own data, on a port of its own, and gone with the last one who uses it.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};

/// Used by one test, which may stop, hang and kill it; or shared, see [`Postgres::shared`].
#[derive(Debug)]
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    server: Mutex<Option<Child>>,
    /// Stops the server if this process ends without a word: the pipe is closed then.
    watcher: Option<(Child, ChildStdin)>,
}

impl Postgres {
    /// Starts a server. `None` without PostgreSQL: `tests/run` installs it and insists.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(
                std::env::var_os("REQUIRE_REAL_PARTS").is_none(),
                "PostgreSQL (initdb) is missing; run tests/run"
            );
            println!("PostgreSQL is not installed: skipped");
            return None;
        };
        let mut server = Self {
            folder: new_folder(),
            port: 0,
            server: Mutex::new(None),
            watcher: None,
            programs,
        };
        server.make_data();
        server.watcher = Some(watch(&server.folder));
        for _ in 0..5 {
            server.port = free_port();
            if server.try_to_run() {
                return Some(server);
            }
        }
        panic!("PostgreSQL does not start: {}", server.log());
    }

    /// The server of all tests that leave it in peace, each with a database of its own. It stops with the last of them.
    pub(crate) fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let started = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&started);
        Some(started)
    }

    /// The address of the database `postgres`, as its superuser.
    pub(crate) fn url(&self) -> String {
        self.url_of("postgres")
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The address of a new, empty database.
    pub(crate) async fn new_database(&self) -> String {
        self.new_database_with("").await.unwrap()
    }

    /// The same, made with these options of `CREATE DATABASE`.
    pub(crate) async fn new_database_with(&self, options: &str) -> Result<String, sqlx::Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let pool = PgPool::connect(&self.url()).await?;
        let create = AssertSqlSafe(format!("CREATE DATABASE {name} {options}"));
        let created = sqlx::query(create).execute(&pool).await;
        pool.close().await;
        created.map(|_| self.url_of(&name))
    }

    /// Runs a file as a person would, by `psql`.
    pub(crate) fn run_file(&self, url: &str, file: &Path) {
        let output = Command::new(self.programs.join("psql"))
            .args([
                "--no-psqlrc",
                "--quiet",
                "--single-transaction",
                "-v",
                "ON_ERROR_STOP=1",
                "-f",
            ])
            .arg(file)
            .arg(url)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Kills every process of the server at once.
    pub(crate) fn kill9(&self) {
        self.signal("KILL");
        self.wait();
    }

    /// Lets the server hang: connections stay, and nothing is answered.
    pub(crate) fn hang(&self) {
        self.signal("STOP");
    }

    /// Lets a server that hangs go on.
    pub(crate) fn go_on(&self) {
        self.signal("CONT");
    }

    /// Starts it anew after [`kill9`](Self::kill9), on the same port, with the same data.
    pub(crate) fn restart(&self) {
        for _ in 0..50 {
            if self.try_to_run() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("PostgreSQL does not start again: {}", self.log());
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn make_data(&self) {
        let output = as_owner(&self.programs.join("initdb"), &self.folder)
            .args([
                "--auth=trust",
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "-D",
            ])
            .arg(self.data())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Whether the server runs and answers.
    fn try_to_run(&self) -> bool {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .unwrap();
        let child = as_owner(&self.programs.join("postgres"), &self.folder)
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-k"])
            .arg(&self.folder)
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "fsync=off",
                "-c",
                "max_connections=200",
            ])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        *self.child() = Some(child);
        for _ in 0..1_200 {
            if self.answers() {
                return true;
            }
            if let Some(child) = self.child().as_mut()
                && child.try_wait().unwrap().is_some()
            {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    fn answers(&self) -> bool {
        Command::new(self.programs.join("pg_isready"))
            .args([
                "--quiet",
                "--timeout=1",
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
            ])
            .status()
            .is_ok_and(|status| status.success())
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To the first process before its children: it would start new ones for those that die.
    fn signal(&self, signal: &str) {
        if let Some(server) = self.child().as_ref() {
            send(signal, &[server.id()]);
            send(signal, &children_of(server.id()));
        }
    }

    fn wait(&self) {
        if let Some(mut server) = self.child().take() {
            server.wait().unwrap();
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.go_on();
        if let Some(server) = self.child().as_ref() {
            send("QUIT", &[server.id()]);
        }
        self.wait();
        let _ = fs::remove_dir_all(&self.folder);
        if let Some((mut watcher, pipe)) = self.watcher.take() {
            drop(pipe);
            let _ = watcher.wait();
        }
    }
}

/// The folder of the server's programs: in PATH, in /usr/local/bin, or where Debian puts them, the newest.
fn programs() -> Option<PathBuf> {
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&in_path).collect();
    folders.push("/usr/local/bin".into());
    let mut of_debian: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((path.file_name()?.to_str()?.parse().ok()?, path.join("bin")))
        })
        .collect();
    of_debian.sort_unstable();
    folders.extend(of_debian.into_iter().rev().map(|(_, folder)| folder));
    folders.into_iter().find(|folder| {
        ["initdb", "postgres", "pg_isready", "psql"]
            .iter()
            .all(|name| folder.join(name).exists())
    })
}

/// The server refuses to run as root, so root runs it as the user `postgres`.
fn owner() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| -> u32 {
        let output = Command::new("id").args(arguments).output().unwrap();
        let number = String::from_utf8(output.stdout).unwrap();
        number
            .trim()
            .parse()
            .expect("root runs PostgreSQL as the user postgres, who must be there")
    };
    (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}

fn as_owner(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .env_remove("PGDATA");
    if let Some((user, group)) = owner() {
        command.uid(user).gid(group);
    }
    command
}

fn new_folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "tower-resource-server-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    let folder = std::env::temp_dir().join(name);
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    if let Some((user, group)) = owner() {
        chown(&folder, Some(user), Some(group)).unwrap();
    }
    folder
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn send(signal: &str, processes: &[u32]) {
    for process in processes {
        let _ = Command::new("sh")
            .args(["-c", &format!("kill -{signal} {process}")])
            .stderr(Stdio::null())
            .status();
    }
}

fn children_of(parent: u32) -> Vec<u32> {
    let is_child = |process: &u32| {
        let mut stat = String::new();
        let read = fs::File::open(format!("/proc/{process}/stat"))
            .and_then(|mut file| file.read_to_string(&mut stat));
        // After the name, which is in parentheses: the state, and the parent.
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        read.is_ok() && after_name.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(is_child)
        .collect()
}

/// Waits for the end of its input, which is the end of this process, and then clears up what `Drop` did not.
fn watch(folder: &Path) -> (Child, ChildStdin) {
    const SCRIPT: &str = r#"
        trap '' INT
        read -r _
        pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && {
            kill -CONT "$pid" $(cat "/proc/$pid/task/$pid/children")
            kill -QUIT "$pid"
            sleep 1
        } 2>/dev/null
        rm -rf "$1"
    "#;
    let mut watcher = Command::new("sh")
        .args(["-c", SCRIPT, "watcher"])
        .arg(folder)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let pipe = watcher.stdin.take().unwrap();
    (watcher, pipe)
}
