//! `cargo xtask gpu-bundle`: one folder with what a machine with a CUDA device needs to check and time the engine
//! `tch`.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::libtorch;
use crate::process::{capture, cargo, root, run, target_dir};

/// Where the folder is left.
#[derive(clap::Args)]
#[command(
    after_help = "The folder holds dal, the conformance and timing programs, gpu-check.sh, sweep files and a manifest. Where it is taken
there must be NVIDIA's driver and a Python with PyTorch of the same version, nothing else (docs/gpu.md).

Examples:
  cargo xtask gpu-bundle
  cargo xtask gpu-bundle --out /tmp/bundle && sh /tmp/bundle/gpu-check.sh check --device cpu --tiny"
)]
pub struct Args {
    /// The folder; one that holds no bundle is left as it is [default: gpu-bundle in cargo's target folder].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// The folder has to stay below this.
const MOST_BYTES: u64 = 40_000_000;

/// Files that are copied as they are, and their folder in the bundle.
const FILES: &[(&str, &str)] = &[
    ("benches/gpu/gpu-check.sh", ""),
    ("benches/gpu/gpu_check.py", ""),
    ("benches/peers/train/torch_graphs.py", ""),
    ("benches/sweeps/smoke.toml", "sweeps"),
    ("benches/sweeps/gpu-agreement.toml", "sweeps"),
    ("benches/sweeps/evidence-robo.toml", "sweeps"),
    ("benches/sweeps/evidence-damp.toml", "sweeps"),
    ("benches/sweeps/evidence-stack.toml", "sweeps"),
    ("LICENSE-MIT", ""),
    ("LICENSE-APACHE", ""),
];

/// Builds, copies, checks what travels, writes the manifest.
pub fn run_bundling(args: &Args) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("a bundle is built on Linux, for Linux");
    }
    libtorch::run_task(&[])?;
    let out = match &args.out {
        Some(out) => std::path::absolute(out)?,
        None => target_dir().join("gpu-bundle"),
    };
    let programs = build()?;
    if out.exists() {
        if !out.join("MANIFEST").is_file() {
            bail!("{} is there and holds no bundle; it is left as it is", out.display());
        }
        // Results of earlier checks stay.
        for entry in fs::read_dir(&out)? {
            let entry = entry?;
            if entry.file_name() != "results" {
                let path = entry.path();
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }
                    .with_context(|| path.display().to_string())?;
            }
        }
    }
    fs::create_dir_all(out.join("sweeps"))?;
    let mut files = Vec::new();
    for (program, name) in &programs {
        files.push(PathBuf::from(name));
        fs::copy(program, out.join(name)).with_context(|| program.display().to_string())?;
    }
    for (file, folder) in FILES {
        let from = root().join(file);
        let to = Path::new(folder).join(from.file_name().unwrap_or_default());
        fs::copy(&from, out.join(&to)).with_context(|| from.display().to_string())?;
        files.push(to);
    }
    let paths = machine_paths();
    let mut bytes = 0;
    for file in &files {
        bytes += fs::metadata(out.join(file))?.len();
        no_path_of_this_machine(&out.join(file), &paths)?;
    }
    let mut glibc = String::from("none");
    for (_, name) in &programs {
        no_search_path(&out.join(name))?;
        glibc = newest_glibc(&out.join(name))?.max_by_version(glibc);
    }
    if bytes >= MOST_BYTES {
        bail!("the bundle has {bytes} bytes, not below {MOST_BYTES}");
    }
    write_manifest(&out, &files, &glibc)?;
    eprintln!("{}: {} files, {:.1} MB, wants glibc {glibc}", out.display(), files.len() + 1, bytes as f64 * 1e-6);
    Ok(())
}

/// Builds the programs without trace of this machine: each with its name in the bundle.
fn build() -> Result<Vec<(PathBuf, &'static str)>> {
    let mut folders = vec![(cargo_home(), "/cargo"), (root(), "/dal"), (target_dir(), "/target")];
    let mapped = |option: &str, folders: &[(PathBuf, &str)]| -> Vec<OsString> {
        let flag = |(from, to): &(PathBuf, &str)| {
            [OsStr::new(option), from.as_os_str(), OsStr::new("="), OsStr::new(to)].join(OsStr::new(""))
        };
        folders.iter().map(flag).collect()
    };
    // `dal_bundle` tells the build scripts to name no search path of the loader.
    let mut rust = vec![OsString::from("--cfg"), "dal_bundle".into()];
    rust.extend(mapped("--remap-path-prefix=", &folders));
    let rust = rust.join(OsStr::new("\u{1f}"));
    // The C++ part of torch-sys names files in its messages, those of libtorch too.
    if !libtorch_dir().starts_with(root()) {
        folders.push((libtorch_dir(), "/libtorch"));
    }
    let cxx = mapped("-ffile-prefix-map=", &folders).join(OsStr::new(" "));
    let with_flags = |args: &[&str]| {
        let mut command = cargo(args);
        command.env("CARGO_ENCODED_RUSTFLAGS", &rust).env("CXXFLAGS", &cxx);
        command
    };
    let common = ["--profile", "bundle", "--locked", "--quiet"];
    let programs = ["-p", "dal-cli", "-p", "dal-benches", "--features", "dal-cli/tch,dal-benches/tch"];
    let bins = ["--bin", "dal", "--bin", "lockstep_timing"];
    run(&mut with_flags(&[&["build"][..], &common, &programs, &bins].concat()))?;
    let test = ["-p", "dal-nn", "--features", "tch", "--lib", "--no-run", "--message-format", "json"];
    let messages = capture(&mut with_flags(&[&["test"][..], &common, &test].concat()))?;
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message.get("executable")?.as_str().map(PathBuf::from)
    };
    let conformance = messages.lines().filter_map(executable).next_back().context("cargo test named no program")?;
    let built = target_dir().join("bundle");
    Ok(vec![(built.join("dal"), "dal"), (built.join("lockstep_timing"), "timing"), (conformance, "conformance")])
}

/// Cargo's folder of sources.
// CARGO_HOME and HOME are cargo's own interface, not settings of this project.
#[allow(clippy::disallowed_methods)]
fn cargo_home() -> PathBuf {
    match std::env::var_os("CARGO_HOME") {
        Some(home) => home.into(),
        None => PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
    }
}

/// Where torch-sys finds libtorch; `.cargo/config.toml` sets it.
#[allow(clippy::disallowed_methods)]
fn libtorch_dir() -> PathBuf {
    std::env::var_os("LIBTORCH").map_or_else(|| root().join("libtorch"), PathBuf::from)
}

/// Folders that no file of the bundle may name.
#[allow(clippy::disallowed_methods)]
fn machine_paths() -> Vec<String> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let folders = [Some(root()), Some(target_dir()), Some(cargo_home()), Some(libtorch_dir()), home];
    let text = |folder: PathBuf| folder.to_string_lossy().trim_end_matches('/').to_owned();
    let mut paths: Vec<String> = folders.into_iter().flatten().map(text).filter(|path| path.len() > 1).collect();
    paths.sort();
    paths.dedup();
    paths
}

fn no_path_of_this_machine(file: &Path, paths: &[String]) -> Result<()> {
    let strings = capture(Command::new("strings").arg("-a").arg(file)).context("GNU binutils are needed")?;
    match strings.lines().find(|line| paths.iter().any(|path| names(line, path))) {
        Some(line) => bail!("{} names a folder of this machine: {}", file.display(), line.trim()),
        None => Ok(()),
    }
}

/// Whether a text names this folder, or a file under it.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let after = line[at + path.len()..].chars().next();
        let before = line[..at].chars().next_back();
        after.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '-')
            && before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '-' && c != '/' && c != '.')
    })
}

fn no_search_path(program: &Path) -> Result<()> {
    let dynamic = capture(Command::new("readelf").arg("-d").arg(program)).context("GNU binutils are needed")?;
    match dynamic.lines().find(|line| line.contains("(RPATH)") || line.contains("(RUNPATH)")) {
        Some(line) => bail!("{} tells the loader where to search: {}", program.display(), line.trim()),
        None => Ok(()),
    }
}

/// A version such as `2.34`.
struct Version(String);

impl Version {
    fn max_by_version(self, other: String) -> String {
        let key = |text: &str| text.split('.').map(|part| part.parse::<u32>().ok()).collect::<Vec<_>>();
        if key(&self.0) > key(&other) { self.0 } else { other }
    }
}

/// The newest glibc whose symbols a program wants.
fn newest_glibc(program: &Path) -> Result<Version> {
    let info = capture(Command::new("readelf").arg("--version-info").arg("--wide").arg(program))?;
    let versions = info.split("GLIBC_").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        rest[..end].to_owned()
    });
    Ok(Version(versions.fold(String::from("0"), |newest, version| Version(version).max_by_version(newest))))
}

/// What `sha256sum --check` reads; the lines in front say where it is from.
fn write_manifest(out: &Path, files: &[PathBuf], glibc: &str) -> Result<()> {
    let git = |args: &[&str]| capture(Command::new("git").args(args).current_dir(root()));
    let commit = git(&["rev-parse", "HEAD"])?;
    let modified = if git(&["status", "--porcelain"])?.is_empty() { "" } else { "-modified" };
    let pins: toml::Table = fs::read_to_string(root().join("xtask/libtorch/wheels.toml"))?.parse()?;
    let version = pins.get("version").and_then(|v| v.as_str()).context("wheels.toml names a version")?;
    let mut text = format!("# commit {}{modified}\n# libtorch {version}\n# glibc {glibc}\n", commit.trim());
    let sums = capture(Command::new("sha256sum").args(files).current_dir(out))?;
    write!(text, "{sums}")?;
    fs::write(out.join("MANIFEST"), text)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_found_as_a_whole_and_not_as_a_part_of_another() {
        assert!(names("at /home/a/src/x.rs:1", "/home/a"));
        assert!(names("/home/a", "/home/a"));
        assert!(!names("/home/ab/x", "/home/a"));
        assert!(!names("/cargo/home/a/x", "/home/a"));
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(Version("2.9".into()).max_by_version("2.34".into()), "2.34");
        assert_eq!(Version("2.34".into()).max_by_version("none".into()), "2.34");
    }
}
