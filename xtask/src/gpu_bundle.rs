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
    let out = match &args.out {
        Some(out) => std::path::absolute(out)?,
        None => target_dir().join("gpu-bundle"),
    };
    if !is_bundle_or_nothing(&out) {
        bail!("{} is there and holds no bundle; it is left as it is", out.display());
    }
    libtorch::run_task(&[])?;
    let programs = build()?;
    let own = FILES.iter().map(|(file, folder)| {
        let from = root().join(file);
        let to = Path::new(folder).join(from.file_name().unwrap_or_default());
        (from, to)
    });
    let files: Vec<_> = programs.iter().map(|(from, name)| (from.clone(), PathBuf::from(name))).chain(own).collect();

    // What may not travel is found before anything is written.
    let paths = machine_paths();
    let mut bytes = 0;
    for (from, _) in &files {
        bytes += fs::metadata(from).with_context(|| from.display().to_string())?.len();
        no_path_of_this_machine(from, &paths)?;
    }
    let mut glibc = String::from("none");
    for (program, _) in &programs {
        no_search_path(program)?;
        glibc = newest_glibc(program)?.max_by_version(glibc);
    }
    if bytes >= MOST_BYTES {
        bail!("the bundle would have {bytes} bytes, not below {MOST_BYTES}");
    }

    empty(&out)?;
    for (from, to) in &files {
        fs::copy(from, out.join(to)).with_context(|| from.display().to_string())?;
    }
    let bundled: Vec<_> = files.into_iter().map(|(_, to)| to).collect();
    write_manifest(&out, &bundled, &glibc)?;
    eprintln!("{}: {} files, {:.1} MB, wants glibc {glibc}", out.display(), bundled.len() + 1, bytes as f64 * 1e-6);
    Ok(())
}

/// The manifest of a bundle whose files are not all there.
const UNFINISHED: &str = "# unfinished\n";

/// Whether a bundle may be laid here: one is there, unfinished or not, or an empty folder, or nothing.
fn is_bundle_or_nothing(out: &Path) -> bool {
    let manifest = fs::read_to_string(out.join("MANIFEST")).unwrap_or_default();
    let ours = ["# commit ", UNFINISHED].iter().any(|start| manifest.starts_with(start));
    ours || fs::read_dir(out).map_or_else(|_| !out.exists(), |mut entries| entries.next().is_none())
}

/// Removes what is in the folder but for results of earlier checks. What it holds until its manifest is written,
/// `sha256sum --check` refuses.
fn empty(out: &Path) -> Result<()> {
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    fs::write(out.join("MANIFEST"), UNFINISHED)?;
    for entry in fs::read_dir(out)? {
        let entry = entry?;
        if entry.file_name() != "results" && entry.file_name() != "MANIFEST" {
            let path = entry.path();
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }
                .with_context(|| path.display().to_string())?;
        }
    }
    fs::create_dir_all(out.join("sweeps"))?;
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
    // With its sources installed a toolchain names files by where they lie.
    let sysroot = capture(Command::new("rustc").args(["--print", "sysroot"]).current_dir(root())).ok();
    let sysroot = sysroot.map(|path| PathBuf::from(path.trim()));
    let folders = [Some(root()), Some(target_dir()), Some(cargo_home()), Some(libtorch_dir()), sysroot, home];
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
    fn a_file_that_names_a_folder_of_this_machine_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (file, folder) = (dir.path().join("program"), PathBuf::from("/a/b"));
        let paths = [folder.to_string_lossy().into_owned()];
        fs::write(&file, b"\x7fELF\0\x01/a/bc/d.rs\0\x02text\0").unwrap();
        no_path_of_this_machine(&file, &paths).unwrap();
        fs::write(&file, b"\x7fELF\0\x01panic at /a/b/src/d.rs\0\x02text\0").unwrap();
        let error = no_path_of_this_machine(&file, &paths).unwrap_err().to_string();
        assert!(error.contains("/a/b/src/d.rs"), "{error}");
    }

    #[test]
    fn a_folder_of_something_else_is_left_alone_and_results_stay() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        assert!(is_bundle_or_nothing(&out));
        fs::create_dir_all(out.join("results")).unwrap();
        assert!(!is_bundle_or_nothing(&out));
        assert!(is_bundle_or_nothing(&out.join("results")));
        fs::write(out.join("MANIFEST"), "of another program").unwrap();
        assert!(!is_bundle_or_nothing(&out));
        fs::write(out.join("results/gpu-check.json"), "{}").unwrap();
        fs::write(out.join("old"), "").unwrap();
        empty(&out).unwrap();
        assert!(is_bundle_or_nothing(&out));
        assert!(out.join("results/gpu-check.json").is_file() && !out.join("old").exists());
        assert!(out.join("sweeps").is_dir());
    }

    /// Both forms of the loader's search path, in libraries that the linker makes of nothing.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_search_path_of_the_loader_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let link = |name: &str, flags: &[&str]| {
            let file = dir.path().join(name);
            let mut cc = Command::new("cc");
            cc.args(["-shared", "-nostdlib", "-x", "c", "/dev/null", "-o"]).arg(&file).args(flags);
            assert!(cc.status().unwrap().success());
            no_search_path(&file)
        };
        link("none", &[]).unwrap();
        let new = link("new", &["-Wl,--enable-new-dtags,-rpath,/a/b"]).unwrap_err().to_string();
        assert!(new.contains("(RUNPATH)") && new.contains("/a/b"), "{new}");
        let old = link("old", &["-Wl,--disable-new-dtags,-rpath,/a/b"]).unwrap_err().to_string();
        assert!(old.contains("(RPATH)") && old.contains("/a/b"), "{old}");
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(Version("2.9".into()).max_by_version("2.34".into()), "2.34");
        assert_eq!(Version("2.34".into()).max_by_version("none".into()), "2.34");
    }
}
