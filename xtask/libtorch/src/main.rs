//! `cargo xtask libtorch`: brings a CPU libtorch into the project, or finds one that is installed, and says which.

mod download;
mod found;
mod index;
mod pins;
#[cfg(test)]
mod testing;
mod unpack;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::found::Found;
use crate::pins::{Pins, Platform, Wheel};

/// Brings libtorch for the feature `tch`, or finds an installed one, and says which.
#[derive(Parser)]
#[command(
    name = "cargo xtask libtorch",
    max_term_width = 120,
    bin_name = "cargo xtask libtorch",
    after_help = "Without options: the libtorch that LIBTORCH names, else the one in the project's folder libtorch/. If that is \
missing, it is brought there from the wheels of a Python package index, verified against pinned digests, without Python. \
What arrived of an interrupted download is kept and gone on with.

The index is --index, else the one of pip's settings (PIP_INDEX_URL or a pip.conf), else the public one.

Examples:
  cargo xtask libtorch
  cargo xtask libtorch --from-python .venv/bin/python   (an installed PyTorch, CPU or CUDA)
  cargo xtask libtorch --wheels DIR                     (wheels that were copied into a folder)
  LIBTORCH=DIR cargo xtask libtorch                     (an installed libtorch)"
)]
struct Args {
    /// Use the libtorch of an installed PyTorch; the interpreter [default: python3].
    #[arg(long, value_name = "PYTHON", num_args = 0..=1, default_missing_value = "python3")]
    from_python: Option<PathBuf>,
    /// Address of a package index (PEP 503 or 691), as pip takes it.
    #[arg(long, value_name = "URL", conflicts_with = "from_python")]
    index: Option<String>,
    /// Take the wheels from this folder; no network.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["from_python", "index"])]
    wheels: Option<PathBuf>,
    /// Only say what there is; fails if there is nothing.
    #[arg(long, conflicts_with_all = ["from_python", "index", "wheels"])]
    check: bool,
}

fn main() -> ExitCode {
    match Pins::read().and_then(|pins| run(&Args::parse(), &pins, &Places::here())) {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Where things are.
struct Places {
    /// The project's own libtorch.
    own: PathBuf,
    /// Wheels on their way.
    wheels: PathBuf,
    /// The user's libtorch, if the environment names one.
    users: Option<PathBuf>,
}

impl Places {
    // LIBTORCH and CARGO_TARGET_DIR are interfaces of torch-sys and cargo, not settings of this project.
    #[allow(clippy::disallowed_methods)]
    fn here() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.ancestors().nth(2).unwrap_or(here);
        let own = root.join("libtorch");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
        // `.cargo/config.toml` sets LIBTORCH to the project's own folder unless the user set it.
        let users = std::env::var_os("LIBTORCH").map(PathBuf::from).filter(|dir| *dir != own);
        Self { own, wheels: target.join("libtorch-wheels"), users }
    }
}

fn run(args: &Args, pins: &Pins, places: &Places) -> Result<Found> {
    if let Some(python) = &args.from_python {
        return found::link_python(python, &places.own, &pins.version);
    }
    if let Some(dir) = &places.users {
        return found::look(dir, &pins.version)
            .with_context(|| format!("LIBTORCH is set to {}; unset it to use the project's own", dir.display()));
    }
    // A folder that holds something else is reported, not overwritten; one that is not there is filled.
    if places.own.exists() {
        return found::look(&places.own, &pins.version)
            .with_context(|| format!("delete {} and try again", places.own.display()));
    }
    if args.check {
        bail!("there is no libtorch: cargo xtask libtorch brings one");
    }
    let platform = pins.platform(std::env::consts::OS, std::env::consts::ARCH)?;
    bring(args, platform, &pins.version, places).with_context(|| format!("libtorch {}", pins.version))?;
    found::look(&places.own, &pins.version)
}

/// Gets the wheels, takes what is wanted out of them, and puts it in place at once.
fn bring(args: &Args, platform: &Platform, version: &str, places: &Places) -> Result<()> {
    fs::create_dir_all(&places.wheels)?;
    let missing: u64 = platform.wheels.iter().map(|wheel| download::bytes_missing(wheel, &places.wheels)).sum();
    let missing = if args.wheels.is_some() { 0 } else { missing };
    download::check_space(&places.own, missing + platform.unpacked)?;
    let wheels = match &args.wheels {
        Some(dir) => from_folder(platform, dir)?,
        None => from_index(args.index.as_deref(), platform, &places.wheels)?,
    };
    let unborn = places.own.with_extension("part");
    if unborn.exists() {
        fs::remove_dir_all(&unborn).with_context(|| unborn.display().to_string())?;
    }
    fs::create_dir_all(&unborn)?;
    for (wheel, path) in platform.wheels.iter().zip(&wheels) {
        unpack::take(path, &wheel.take, &unborn).with_context(|| path.display().to_string())?;
    }
    for link in &platform.links {
        found::symlink(Path::new(&link.to), &unborn.join(&link.at))?;
    }
    fs::write(unborn.join("build-version"), version)?;
    fs::rename(&unborn, &places.own).with_context(|| places.own.display().to_string())?;
    if args.wheels.is_none() {
        fs::remove_dir_all(&places.wheels).with_context(|| places.wheels.display().to_string())?;
    }
    Ok(())
}

fn from_folder(platform: &Platform, dir: &Path) -> Result<Vec<PathBuf>> {
    let take = |wheel: &Wheel| {
        let path = dir.join(&wheel.file);
        download::verify(&path, wheel)?;
        Ok(path)
    };
    platform.wheels.iter().map(take).collect()
}

fn from_index(index: Option<&str>, platform: &Platform, folder: &Path) -> Result<Vec<PathBuf>> {
    let settings = index::Settings::of_pip()?;
    let index = index.map_or_else(|| settings.index.clone(), str::to_owned);
    let agent = download::agent(settings.certificates.as_deref())?;
    let get = |wheel: &Wheel| -> Result<PathBuf> {
        if let Some(path) = download::finished(wheel, folder) {
            return Ok(path);
        }
        let url = index::find(&agent, &index, wheel)?;
        download::fetch(&agent, &url, wheel, folder)
    };
    let wheels: Result<Vec<PathBuf>> = platform.wheels.iter().map(get).collect();
    wheels.with_context(|| {
        let files: Vec<&str> = platform.wheels.iter().map(|wheel| wheel.file.as_str()).collect();
        format!(
            "the wheels could not be downloaded. If this machine reaches packages through a mirror, name it with --index URL or \
             in pip's settings; if it reaches none, copy these files into a folder and give it with --wheels: {}",
            files.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::pins::{Link, Take};
    use crate::testing::{Manner, Server};

    /// A small wheel with the files of a libtorch, as bytes.
    fn wheel() -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for name in [
            "torch/include/torch/csrc/api/include/torch/torch.h",
            "torch/lib/libtorch_cpu.so",
            "torch/lib/libc10.so",
            "torch/lib/libtorch_cuda.so",
        ] {
            zip.start_file(name, options).unwrap();
            zip.write_all(name.repeat(2000).as_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn platform(bytes: &[u8]) -> Platform {
        let take = |from: &str, to: &str| Take { from: from.into(), to: to.into() };
        Platform {
            os: "any".into(),
            arch: "any".into(),
            unpacked: 1000,
            links: vec![Link { at: "lib/libtorch.so".into(), to: "libtorch_cpu.so".into() }],
            wheels: vec![Wheel {
                project: "torch".into(),
                file: "torch-9.whl".into(),
                bytes: bytes.len() as u64,
                sha256: Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect(),
                take: vec![
                    take("torch/include/", "include/"),
                    take("torch/lib/libtorch_cpu.so", "lib/libtorch_cpu.so"),
                    take("torch/lib/libc10.so", "lib/libc10.so"),
                ],
            }],
        }
    }

    fn places(dir: &Path) -> Places {
        Places { own: dir.join("libtorch"), wheels: dir.join("wheels"), users: None }
    }

    fn args(index: Option<String>, wheels: Option<PathBuf>) -> Args {
        Args { from_python: None, index, wheels, check: false }
    }

    #[test]
    fn an_interrupted_download_goes_on_where_it_was_and_ends_in_a_whole_libtorch() {
        let bytes = wheel();
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        let platform = platform(&bytes);
        // Breaks off after so many bytes of a file, every time: the first start gives up, a second one ends it.
        let part = bytes.len() / 8;
        let server = Server::start("torch-9.whl", bytes.clone(), Manner::BreaksOffAfter(part));
        let first = bring(&args(Some(server.index()), None), &platform, "9", &places).unwrap_err();
        let first = format!("{first:#}");
        assert!(first.contains("run this again") && first.contains("--wheels"), "{first}");
        let kept = fs::metadata(places.wheels.join("torch-9.whl.part")).unwrap().len();
        assert!(kept > part as u64 && kept < bytes.len() as u64, "{kept}");
        assert!(!places.own.exists());
        bring(&args(Some(server.index()), None), &platform, "9", &places).unwrap();
        assert!(server.ranges().contains(&kept), "asked for what was missing: {:?}", server.ranges());
        let found = found::look(&places.own, "9").unwrap();
        assert!(!found.has_cuda, "{found}");
        assert_eq!(fs::read_link(places.own.join("lib/libtorch.so")).unwrap(), Path::new("libtorch_cpu.so"));
        assert!(!places.own.join("lib/libtorch_cuda.so").exists(), "it was not asked for");
        assert!(!places.wheels.exists(), "wheels are not kept");
    }

    #[test]
    fn a_server_without_ranges_is_asked_for_the_whole_again() {
        let bytes = wheel();
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        fs::create_dir_all(&places.wheels).unwrap();
        fs::write(places.wheels.join("torch-9.whl.part"), b"something old").unwrap();
        let server = Server::start("torch-9.whl", bytes.clone(), Manner::IgnoresRanges);
        bring(&args(Some(server.index()), None), &platform(&bytes), "9", &places).unwrap();
        assert!(places.own.join("lib/libc10.so").exists());
    }

    #[test]
    fn a_wrong_digest_is_refused_and_nothing_is_left() {
        let bytes = wheel();
        let mut other = bytes.clone();
        other[100] ^= 1;
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        let server = Server::start("torch-9.whl", other.clone(), Manner::Well);
        let error = bring(&args(Some(server.index()), None), &platform(&bytes), "9", &places).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("SHA-256") && error.contains(&platform(&bytes).wheels[0].sha256), "{error}");
        assert!(!places.own.exists());
        assert_eq!(fs::read_dir(&places.wheels).unwrap().count(), 0, "the wrong file is deleted");
        // The same from a folder, which is the user's and stays as it is.
        let folder = dir.path().join("mine");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("torch-9.whl"), &other).unwrap();
        let error = bring(&args(None, Some(folder.clone())), &platform(&bytes), "9", &places).unwrap_err();
        assert!(format!("{error:#}").contains("SHA-256"));
        fs::write(folder.join("torch-9.whl"), &bytes).unwrap();
        bring(&args(None, Some(folder.clone())), &platform(&bytes), "9", &places).unwrap();
        assert!(folder.join("torch-9.whl").exists());
    }

    #[test]
    fn a_file_longer_than_pinned_or_absent_and_a_refusing_network_are_said() {
        let bytes = wheel();
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        let mut short = platform(&bytes);
        short.wheels[0].bytes -= 5;
        let server = Server::start("torch-9.whl", bytes.clone(), Manner::Well);
        let error = format!("{:#}", bring(&args(Some(server.index()), None), &short, "9", &places).unwrap_err());
        assert!(error.contains("bytes"), "{error}");
        let mut absent = platform(&bytes);
        absent.wheels[0].file = "torch-10.whl".into();
        let error = format!("{:#}", bring(&args(Some(server.index()), None), &absent, "9", &places).unwrap_err());
        assert!(error.contains("does not list torch-10.whl"), "{error}");
        let index = server.index();
        drop(server);
        let error =
            format!("{:#}", bring(&args(Some(index.clone()), None), &platform(&bytes), "9", &places).unwrap_err());
        assert!(error.contains(&index) && error.contains("--index"), "{error}");
    }

    #[test]
    fn what_is_there_is_used_and_a_wrong_version_refused() {
        let bytes = wheel();
        let dir = tempfile::tempdir().unwrap();
        let mut places = places(dir.path());
        let folder = dir.path().join("mine");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("torch-9.whl"), &bytes).unwrap();
        bring(&args(None, Some(folder)), &platform(&bytes), "9", &places).unwrap();
        let pins = Pins { version: "2.11.0".into(), platforms: Vec::new() };
        for (version, good) in [("2.11.0+cpu\n", true), ("2.12.1", false), ("", false)] {
            fs::write(places.own.join("build-version"), version).unwrap();
            for users in [None, Some(places.own.clone())] {
                places.users = users;
                let outcome = run(&args(None, None), &pins, &places);
                match outcome {
                    Ok(found) => assert!(good && found.to_string().contains("2.11.0") && !found.has_cuda),
                    Err(error) => {
                        let error = format!("{error:#}");
                        assert!(!good && error.contains("2.11.0"), "{error}");
                        assert!(error.contains(if places.users.is_some() { "LIBTORCH" } else { "delete" }), "{error}");
                    }
                }
            }
        }
        places.users = None;
        fs::remove_dir_all(&places.own).unwrap();
        let check = Args { check: true, ..args(None, None) };
        assert!(run(&check, &pins, &places).unwrap_err().to_string().contains("cargo xtask libtorch"));
        let error = run(&args(None, None), &pins, &places).unwrap_err().to_string();
        assert!(error.contains("LIBTORCH") && error.contains(std::env::consts::ARCH), "{error}");
    }
}
