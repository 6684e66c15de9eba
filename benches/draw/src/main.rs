//! Draws the report: `benches/report` calls this. Reads `benches/figures`, writes `benches/charts` and what stands between the
//! marks of `README.md` and `benches/README.md`. With `--check` nothing is written, and what would change is told.

mod bars;
mod dots;
mod figures;
mod lines;
mod load;
mod paper;
mod peers;
mod speed;
mod text;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use figures::Figures;
use text::replaced;

/// What a chart says to those who do not see it.
const PEERS: &str = "Cost of a request behind this crate and others";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let check = std::env::args().any(|word| word == "--check");
    match run(check) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is as it should be now.
fn run(check: bool) -> Outcome<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut good = true;
    for (path, wanted) in (Report { root: root.clone() }).files()? {
        let file = root.join(&path);
        if fs::read_to_string(&file).is_ok_and(|text| text == wanted) {
            continue;
        }
        println!(
            "{} {}",
            if check {
                "does not match the figures:"
            } else {
                "drawn:"
            },
            path.display()
        );
        good = !check;
        if !check {
            fs::create_dir_all(file.parent().unwrap_or(&root))?;
            fs::write(file, wanted)?;
        }
    }
    Ok(good)
}

struct Report {
    root: PathBuf,
}

impl Report {
    /// All that follows from the figures.
    fn files(&self) -> Outcome<Vec<(PathBuf, String)>> {
        let (speed, peers) = (self.figures("speed")?, self.figures("peers")?);
        let (http, drills) = (self.figures("http")?, self.figures("drills")?);
        let instructions = self.figures("instructions")?;
        let blocks = [
            ("speed", or_how("speed", speed.as_ref(), speed::tables)),
            ("growth", or_how("speed", speed.as_ref(), |_| growth_image())),
            ("peers", or_how("peers", peers.as_ref(), peers_text)),
            ("http", or_how("http", http.as_ref(), load::http)),
            ("drills", or_how("drills", drills.as_ref(), drills_text)),
            (
                "instructions",
                or_how("instructions", instructions.as_ref(), load::plain),
            ),
        ];
        let mut page = self.page("benches/README.md")?;
        for (name, text) in blocks {
            page = replaced(&page, name, &text)?;
        }
        let summary = or_how("peers", peers.as_ref(), |peers| summary(peers, http.as_ref()));
        let mut files = vec![
            (PathBuf::from("benches/README.md"), page),
            (
                PathBuf::from("README.md"),
                replaced(&self.page("README.md")?, "figures", &summary)?,
            ),
        ];
        files.extend(charts(speed.as_ref(), peers.as_ref(), drills.as_ref())?);
        Ok(files)
    }

    fn figures(&self, name: &str) -> Outcome<Option<Figures>> {
        let read = Figures::read(&self.root.join("benches/figures"), name);
        read.map_err(|error| format!("benches/figures/{name}.json: {error}").into())
    }

    fn page(&self, path: &str) -> Outcome<String> {
        fs::read_to_string(self.root.join(path)).map_err(|error| format!("{path}: {error}").into())
    }
}

/// What is told of figures, or how to get them.
fn or_how(name: &str, figures: Option<&Figures>, tell: impl Fn(&Figures) -> String) -> String {
    let command = match name {
        "speed" => "cargo bench --bench speed -- --ratios",
        "peers" => "cargo run --release --manifest-path benches/peers/Cargo.toml",
        "http" => "benches/http.sh",
        "drills" => "cargo bench --bench drills",
        _ => "benches/instructions/run",
    };
    figures.map_or_else(|| format!("Not measured yet: `{command}`.\n"), tell)
}

fn charts(
    speed: Option<&Figures>,
    peers: Option<&Figures>,
    drills: Option<&Figures>,
) -> Outcome<Vec<(PathBuf, String)>> {
    let mut charts = Vec::new();
    let mut add = |name: &str, svg: String| charts.push((Path::new("benches/charts").join(name), svg));
    if let Some(speed) = speed {
        add("growth.svg", speed::growth(speed)?);
    }
    if let Some(peers) = peers {
        add("peers.svg", peers::chart(peers)?);
    }
    if let Some(figures) = drills {
        for kind in load::kinds(figures) {
            add(&format!("drills-{kind}.svg"), load::latency(figures, kind)?);
        }
    }
    Ok(charts)
}

fn growth_image() -> String {
    "![Cost of a request among many keys and issuers](charts/growth.svg)\n".to_owned()
}

fn peers_text(figures: &Figures) -> String {
    let tables = peers::tables(figures);
    format!("![{PEERS}](charts/peers.svg)\n\n{tables}")
}

fn drills_text(figures: &Figures) -> String {
    let image = |kind| format!("![Latency of honest requests, {kind} tokens](charts/drills-{kind}.svg)\n");
    let images: String = load::kinds(figures).into_iter().map(image).collect();
    format!("{images}\n{}", load::drills(figures))
}

/// As short as the first page wants it.
fn summary(figures: &Figures, http: Option<&Figures>) -> String {
    let table = peers::summary(figures, http);
    let Figures { machine, date, .. } = figures;
    let source = format!(
        "Medians of interleaved rounds on {machine}, {date}. Versions, all figures and how to take them: [benches](benches/README.md)."
    );
    format!("![{PEERS}](benches/charts/peers.svg)\n{source}\n\n{table}")
}
