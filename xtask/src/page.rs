//! `cargo xtask page`: makes a report from a small sweep and one from a small campaign, and tests their pages in a real
//! browser; that of the campaign as it is served, too.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::process::{built_dal, find_program, install_package, root, run, target_dir};

/// Which page is tested.
#[derive(clap::Args)]
pub struct Args {
    /// A page that exists [default: the reports of a smoke sweep and of the tutorial's campaign, made anew].
    pub page: Option<PathBuf>,
}

/// Debian's packages for what the test needs, with the programs that they bring.
const PROGRAMS: &[(&str, &[&str])] =
    &[("chromium", &["chromium", "chromium-browser"]), ("npm", &["npm"]), ("nodejs", &["node"])];

/// Tests the page; screenshots are left in `target/page`.
pub fn run_browser(args: &Args) -> Result<()> {
    for (package, programs) in PROGRAMS {
        if find_program(programs).is_none() {
            install_package(package)?;
        }
    }
    let chromium = find_program(PROGRAMS[0].1).context("chromium was installed but is not on the path")?;
    let folder = target_dir().join("page");
    let tools = folder.join("tools");
    std::fs::create_dir_all(&tools)?;
    for file in ["package.json", "package-lock.json", ".npmrc", "page.mjs"] {
        std::fs::copy(root().join("xtask/browser").join(file), tools.join(file)).context(file)?;
    }
    // Twice, since it is the only step that a hiccup of the network can spoil.
    let npm = || run(Command::new("npm").args(["ci", "--silent", "--ignore-scripts"]).current_dir(&tools));
    npm().or_else(|_| npm()).context("the browser's driver and axe could not be installed from the npm registry")?;
    let browse = |page: &OsStr, screenshots: &str, more: &[&OsStr]| -> Result<()> {
        let screenshots = folder.join(screenshots);
        let mut node = Command::new("node");
        node.arg("page.mjs").arg(page).arg(&screenshots).arg(&chromium).args(more).current_dir(&tools);
        run(&mut node)?;
        eprintln!("screenshots: {}", screenshots.display());
        Ok(())
    };
    if let Some(page) = &args.page {
        return browse(std::path::absolute(page)?.as_os_str(), "screenshots", &[]);
    }
    let dal = built_dal(None)?;
    browse(small_report(&dal)?.as_os_str(), "screenshots", &[])?;
    let campaign = small_campaign(&dal)?;
    browse(campaign.join("report.html").as_os_str(), "screenshots-campaign", &[])?;
    let mut watch = Served::start(&dal, &campaign)?;
    let address = watch.address()?;
    browse(OsStr::new(&address), "screenshots-campaign", &[campaign.join("campaign.toml").as_os_str()])
}

/// `dal watch` of a campaign; ended with this value.
struct Served(Child);

impl Served {
    fn start(dal: &Path, campaign: &Path) -> Result<Self> {
        let mut watch = Command::new(dal);
        Ok(Self(watch.arg("watch").arg(campaign).stdout(Stdio::piped()).spawn().context("dal watch")?))
    }

    /// Where the page is.
    fn address(&mut self) -> Result<String> {
        let out = self.0.stdout.take().context("dal watch has no output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let address = line.trim().to_owned();
        ensure!(address.starts_with("http://127.0.0.1:"), "dal watch said `{address}`");
        Ok(address)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The tutorial's first campaign, with its report.
fn small_campaign(dal: &Path) -> Result<PathBuf> {
    let beam = target_dir().join("page/beam");
    if beam.exists() {
        std::fs::remove_dir_all(&beam).with_context(|| format!("{}", beam.display()))?;
    }
    std::fs::create_dir_all(&beam)?;
    for file in ["beam.toml", "beam.py"] {
        std::fs::copy(root().join("examples/beam").join(file), beam.join(file)).context(file)?;
    }
    let dal = |words: &[&str]| run(Command::new(dal).args(words).current_dir(&beam));
    dal(&["new", "campaign", "--problem", "beam.toml", "--initial", "24", "--batch", "10", "--seed", "1"])?;
    dal(&["run", "campaign", "--budget", "54"])?;
    dal(&["report", "campaign"])?;
    Ok(beam.join("campaign"))
}

/// The report of a smoke sweep.
fn small_report(dal: &Path) -> Result<PathBuf> {
    let store = target_dir().join("page/store");
    // Runs of an earlier revision would make parts of their own.
    if store.exists() {
        std::fs::remove_dir_all(&store).with_context(|| format!("{}", store.display()))?;
    }
    run(Command::new(dal)
        .args(["bench", "run"])
        .arg(root().join("benches/sweeps/smoke.toml"))
        .arg("--store")
        .arg(&store))?;
    let out = target_dir().join("page/report");
    run(Command::new(dal).arg("report").arg(&store).arg("--out").arg(&out))?;
    Ok(out.join("report.html"))
}
