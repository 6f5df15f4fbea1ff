//! Running other programs from the workspace root.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// A program ended with an error status.
#[derive(Debug)]
pub struct Failed {
    what: String,
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "`{}` ended with exit code {code}", self.what),
            None => write!(f, "`{}` was ended by a signal", self.what),
        }
    }
}

impl std::error::Error for Failed {}

/// The workspace root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where cargo builds.
// CARGO_TARGET_DIR is cargo's own interface, not a setting of this project.
#[allow(clippy::disallowed_methods)]
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Where programs are looked for.
// How programs are found on this machine, not a setting of this project.
#[allow(clippy::disallowed_methods)]
pub fn search_path() -> Option<std::ffi::OsString> {
    std::env::var_os("PATH")
}

/// The first of these programs that is on the path.
pub fn find_program(programs: &[&str]) -> Option<PathBuf> {
    let path = search_path()?;
    let candidates = |folder: &Path| programs.iter().map(|p| folder.join(p)).find(|p| p.is_file());
    std::env::split_paths(&path).find_map(|folder| candidates(&folder))
}

/// Installs one of Debian's packages.
///
/// # Errors
/// It cannot be installed.
pub fn install_package(package: &str) -> Result<()> {
    install_packages(&[package])
}

/// Installs Debian's packages.
///
/// # Errors
/// One of them cannot be installed.
pub fn install_packages(packages: &[&str]) -> Result<()> {
    let names = packages.join(", ");
    eprintln!("installing of Debian's packages: {names}");
    let apt = |args: &[&str]| run(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"));
    let install = [&["install", "-y", "-qq", "--no-install-recommends"], packages].concat();
    let outcome = apt(&["update", "-qq"]).and_then(|()| apt(&install));
    outcome
        .with_context(|| format!("this task needs {names}, which could not be installed; do it by hand and try again"))
}

/// A cargo command in the workspace root.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(args).current_dir(root());
    command
}

/// For what is built to be seen once, with features of its own: compiling is nearly all of its time.
pub const UNOPTIMISED: [&str; 2] = ["--config", "profile.dev.opt-level=0"];

/// For what is built again and again for a short run: less to compile than the development profile.
pub const QUICKLY_BUILT: [&str; 4] = ["--config", "profile.dev.opt-level=1", "--config", "profile.dev.debug=false"];

/// The `dal` that was named, or one that is built in the development profile.
///
/// # Errors
/// It cannot be built.
pub fn built_dal(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(dal) = named {
        return Ok(std::path::absolute(dal)?);
    }
    build_dal(&[])?;
    Ok(target_dir().join("debug/dal"))
}

/// Builds `dal` as `cargo test --workspace` does, besides with these features.
///
/// Cargo unifies the features of all that it builds at once. One package alone, or nothing that needs development
/// dependencies (the example does), would have others, and nearly everything would be compiled a second time.
///
/// # Errors
/// It cannot be built.
pub fn build_dal(features: &[&str]) -> Result<()> {
    let build = ["build", "--workspace", "--locked", "--quiet", "--bin", "dal", "--example", "onnx"];
    run(cargo(&build).args(features))
}

/// One program of tests.
pub struct TestProgram {
    /// The folder of its package, in which it runs.
    pub package: PathBuf,
    /// The name of its target.
    pub target: String,
    /// The program.
    pub path: PathBuf,
}

/// Builds tests (`args` select them), and says which programs they are.
///
/// # Errors
/// They cannot be built, or cargo's messages are not understood.
pub fn test_programs(args: &[&str]) -> Result<Vec<TestProgram>> {
    let build = ["test", "--locked", "--quiet", "--no-run", "--message-format", "json-render-diagnostics"];
    let messages = capture(cargo(&build).args(args).stderr(Stdio::inherit()))?;
    let mut programs = Vec::new();
    for line in messages.lines() {
        let message: serde_json::Value = serde_json::from_str(line).context("a message of cargo")?;
        let Some(path) = message["executable"].as_str().filter(|_| message["profile"]["test"] == true) else {
            continue;
        };
        let (manifest, target) = (message["manifest_path"].as_str(), message["target"]["name"].as_str());
        let package = manifest.and_then(|path| Path::new(path).parent()).context("a program of no package")?;
        let target = target.context("a program of no target")?.to_owned();
        programs.push(TestProgram { package: package.to_owned(), target, path: path.into() });
    }
    Ok(programs)
}

/// Runs a command to its end.
///
/// # Errors
/// It cannot be started, or ends with an error status.
pub fn run(command: &mut Command) -> Result<()> {
    let what = describe(command);
    let status = command.status().with_context(|| format!("cannot start `{what}`"))?;
    if status.success() { Ok(()) } else { Err(Failed { what, code: status.code() }.into()) }
}

/// Runs a command and returns what it prints.
///
/// # Errors
/// It cannot be started, ends with an error status, or prints something that is no text.
pub fn capture(command: &mut Command) -> Result<String> {
    let what = describe(command);
    let output = command.output().with_context(|| format!("cannot start `{what}`"))?;
    if !output.status.success() {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        return Err(Failed { what, code: output.status.code() }.into());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{what}` printed something that is not UTF-8"))
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let args = command.get_args().map(|a| a.to_string_lossy().into_owned());
    std::iter::once(program).chain(args).collect::<Vec<_>>().join(" ")
}
