//! What the rules look at: the files that git knows, and the packages that cargo knows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The project's files and packages.
pub struct Project {
    /// The workspace root.
    pub root: PathBuf,
    /// Tracked files and untracked ones that git does not ignore, relative to the root, sorted.
    pub files: Vec<PathBuf>,
    /// Every package in `Cargo.lock`, of every platform and feature.
    pub packages: Vec<Package>,
    /// Every package in `python/Cargo.lock`: the Python package is a workspace of its own.
    pub python_packages: Vec<Package>,
}

/// A package as `cargo metadata` describes it.
#[derive(Debug, Deserialize)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// The workspace and what else lies on a path have none.
    pub source: Option<String>,
    /// SPDX expression.
    pub license: Option<String>,
    pub dependencies: Vec<Dependency>,
    /// The registries that it may go to; none for every one.
    pub publish: Option<Vec<String>>,
    pub targets: Vec<Target>,
}

impl Package {
    /// Whether its API is meant for others: whether its manifest lets it be published.
    pub fn is_for_others(&self) -> bool {
        self.publish.as_ref().is_none_or(|registries| !registries.is_empty())
    }
}

/// A dependency that a manifest declares.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    pub name: String,
    /// `dev` or `build`; none for an ordinary one.
    pub kind: Option<String>,
}

/// Something that cargo compiles.
#[derive(Debug, Deserialize)]
pub struct Target {
    pub name: String,
    pub kind: Vec<String>,
    pub src_path: PathBuf,
}

impl Project {
    /// This project.
    ///
    /// # Errors
    /// `git` or `cargo metadata` fails; the latter needs every package's manifest, so the network on a first call.
    pub fn here() -> Result<Self> {
        #[derive(Deserialize)]
        struct Metadata {
            packages: Vec<Package>,
        }
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.ancestors().nth(2).unwrap_or(here).to_path_buf();
        let list = capture(&root, "git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
        let mut files: Vec<PathBuf> = list.split('\0').filter(|s| !s.is_empty()).map(PathBuf::from).collect();
        files.retain(|f| root.join(f).is_file());
        files.sort();
        files.dedup();
        let packages = |manifest: &str| -> Result<Vec<Package>> {
            let args =
                ["metadata", "--format-version", "1", "--locked", "--all-features", "--quiet", "--manifest-path"];
            let metadata = capture(&root, "cargo", &[&args[..], &[manifest]].concat())
                .with_context(|| format!("`cargo fetch --manifest-path {manifest}` brings what is missing"))?;
            let metadata: Metadata = serde_json::from_str(&metadata).context("what `cargo metadata` printed")?;
            Ok(metadata.packages)
        };
        let (packages, python_packages) = (packages("Cargo.toml")?, packages("python/Cargo.toml")?);
        Ok(Self { root, files, packages, python_packages })
    }

    /// A file's text, by its path relative to the root.
    pub fn read(&self, file: &Path) -> Result<String> {
        let bytes = fs::read(self.root.join(file)).with_context(|| file.display().to_string())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The files whose names end so.
    pub fn with_extension<'a>(&'a self, extension: &'a str) -> impl Iterator<Item = &'a PathBuf> {
        self.files.iter().filter(move |f| f.extension().is_some_and(|e| e == extension))
    }

    /// The packages of the workspace.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|p| p.source.is_none())
    }
}

fn capture(root: &Path, program: &str, args: &[&str]) -> Result<String> {
    let what = format!("{program} {}", args.join(" "));
    let command = Command::new(program).args(args).current_dir(root).output();
    let output = command.with_context(|| format!("cannot start `{what}`"))?;
    if !output.status.success() {
        bail!("`{what}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{what}` printed something that is not UTF-8"))
}
