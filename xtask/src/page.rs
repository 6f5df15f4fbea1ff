//! `cargo xtask page`: makes a report from a small sweep and tests its page in a real browser.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{cargo, find_program, install_package, root, run, target_dir};

/// Which page is tested.
#[derive(clap::Args)]
pub struct Args {
    /// A page that exists [default: the report of a smoke sweep, made anew].
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
    let page = match &args.page {
        Some(page) => page.clone(),
        None => small_report()?,
    };
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
    let screenshots = folder.join("screenshots");
    let mut node = Command::new("node");
    run(node.arg("page.mjs").arg(std::path::absolute(page)?).arg(&screenshots).arg(chromium).current_dir(&tools))?;
    eprintln!("screenshots: {}", screenshots.display());
    Ok(())
}

/// The report of a smoke sweep.
fn small_report() -> Result<PathBuf> {
    run(&mut cargo(&["build", "--locked", "--quiet", "--package", "dal-cli"]))?;
    let dal = target_dir().join("debug").join("dal");
    let store = target_dir().join("page/store");
    // Runs of an earlier revision would make parts of their own.
    if store.exists() {
        std::fs::remove_dir_all(&store).with_context(|| format!("{}", store.display()))?;
    }
    run(Command::new(&dal)
        .args(["bench", "run"])
        .arg(root().join("benches/sweeps/smoke.toml"))
        .arg("--store")
        .arg(&store))?;
    let out = target_dir().join("page/report");
    run(Command::new(&dal).arg("report").arg(&store).arg("--out").arg(&out))?;
    Ok(out.join("report.html"))
}
