//! Packing: every crate packs, and `dal` builds and answers from the packs alone.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{UNOPTIMISED, capture, root, run, target_dir};
use crate::sources::copy_sources;

/// Packs all crates, unpacks them beside each other, and builds `dal` from what the packs hold.
pub fn run_packing() -> Result<()> {
    let excluded = ["--exclude", "xtask", "--exclude", "xtask-tidy", "--exclude", "dal-benches"];
    let packages = target_dir().join("package");
    if packages.exists() {
        fs::remove_dir_all(&packages).with_context(|| packages.display().to_string())?;
    }
    // Cargo packs no crate that needs one which may not be published; what is to be seen here is whether a pack holds
    // all that its crate needs. So a copy of the sources is packed, in which every crate may.
    let sources = target_dir().join("packing");
    copy_sources(&sources)?;
    for entry in fs::read_dir(sources.join("crates"))? {
        let manifest = entry?.path().join("Cargo.toml");
        let text = fs::read_to_string(&manifest).with_context(|| manifest.display().to_string())?;
        fs::write(&manifest, text.replace("publish = false\n", ""))?;
    }
    // --no-verify: the build below checks the packs together, once, with dependencies that are compiled already.
    // --allow-dirty: the copy lies in a folder that git ignores.
    let mut pack = Command::new("cargo");
    pack.args(["package", "--workspace", "--no-verify", "--allow-dirty", "--locked", "--quiet", "--target-dir"]);
    run(pack.arg(target_dir()).args(excluded).current_dir(&sources))?;

    let unpacked = target_dir().join("unpacked");
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked).with_context(|| unpacked.display().to_string())?;
    }
    fs::create_dir_all(&unpacked)?;
    let mut members = Vec::new();
    for entry in fs::read_dir(&packages)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "crate") {
            run(Command::new("tar").arg("xzf").arg(&path).arg("-C").arg(&unpacked))?;
            members.push(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    members.sort();
    if members.is_empty() {
        bail!("cargo package left no .crate file in {}", packages.display());
    }
    let mut manifest = String::from("[workspace]\nresolver = \"3\"\nmembers = [\n");
    for member in &members {
        writeln!(manifest, "    \"{member}\",")?;
    }
    manifest.push_str("]\n\n[patch.crates-io]\n");
    for member in &members {
        let (name, _) = member.rsplit_once('-').context("a pack is named name-version")?;
        writeln!(manifest, "{name} = {{ path = \"{member}\" }}")?;
    }
    let profiles = fs::read_to_string(root().join("Cargo.toml"))?;
    let profiles: toml::Table = profiles.parse()?;
    let mut only_profiles = toml::Table::new();
    only_profiles.insert("profile".into(), profiles.get("profile").cloned().context("Cargo.toml has profiles")?);
    write!(manifest, "\n{only_profiles}")?;
    fs::write(unpacked.join("Cargo.toml"), manifest)?;
    fs::copy(root().join("Cargo.lock"), unpacked.join("Cargo.lock"))?;

    // In the workspace's own target directory and with the same features as the stage `export`, which then finds its
    // dependencies compiled. The lock file loses the members that are not packed, so it cannot be --locked.
    let target = target_dir();
    run(Command::new("cargo")
        .args(["build", "--quiet", "--package", "dal-cli", "--features", "parquet", "--target-dir"])
        .arg(&target)
        .args(UNOPTIMISED)
        .current_dir(&unpacked))?;
    let version = capture(Command::new(target.join("debug/dal")).arg("--version"))?;
    if !version.starts_with("dal ") {
        bail!("`dal --version`, built from the packs, printed {version:?}");
    }
    check_size(&packages)?;
    eprintln!("{} crates packed; {} built from the packs", members.len(), version.trim());
    Ok(())
}

/// The registry takes packs of at most 10 MiB.
fn check_size(packages: &Path) -> Result<()> {
    for entry in fs::read_dir(packages)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "crate") && fs::metadata(&path)?.len() > 10 << 20 {
            bail!("{} is over 10 MiB, more than a registry takes", path.display());
        }
    }
    Ok(())
}
