//! A libtorch that is there: what it is, whether it is the right one, and how an installed PyTorch is used as one.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A libtorch that can be built against.
#[derive(Debug)]
pub struct Found {
    /// Its folder, which holds `include` and `lib`.
    pub dir: PathBuf,
    /// As it calls itself, such as `2.11.0+cpu`.
    pub version: String,
    /// Whether its CUDA library is there; a device and driver are another matter.
    pub has_cuda: bool,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.has_cuda { "CPU and CUDA" } else { "CPU" };
        write!(f, "libtorch {} ({kind}) in {}", self.version, self.dir.display())
    }
}

/// Suffix of shared libraries.
const DLL: &str = std::env::consts::DLL_SUFFIX;

/// Looks at a folder.
///
/// # Errors
/// No libtorch, an incomplete one, or another version than `wanted`.
pub fn look(dir: &Path, wanted: &str) -> Result<Found> {
    let version = version(dir)?;
    check_version(&version, wanted).with_context(|| dir.display().to_string())?;
    let needed = ["torch_cpu", "torch", "c10"].map(|name| format!("lib/lib{name}{DLL}"));
    let header = "include/torch/csrc/api/include/torch/torch.h".to_owned();
    for file in needed.iter().chain([&header]) {
        if !dir.join(file).exists() {
            bail!("{} holds no {file}, so it is no whole libtorch", dir.display());
        }
    }
    let has_cuda = dir.join(format!("lib/libtorch_cuda{DLL}")).exists();
    Ok(Found { dir: dir.to_owned(), version, has_cuda })
}

/// From `build-version`, which libtorch has, or `version.py`, which PyTorch has.
fn version(dir: &Path) -> Result<String> {
    if let Ok(text) = fs::read_to_string(dir.join("build-version")) {
        return Ok(text.trim().to_owned());
    }
    let text = fs::read_to_string(dir.join("version.py"))
        .with_context(|| format!("{} holds no libtorch: neither build-version nor version.py", dir.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("__version__ = "));
    line.map(|version| version.trim_matches(['\'', '"']).to_owned()).context("version.py names no version")
}

/// `2.11.0+cu130` is a `2.11.0`.
fn check_version(found: &str, wanted: &str) -> Result<()> {
    if found.split('+').next() == Some(wanted) {
        return Ok(());
    }
    let found = if found.is_empty() { "of no version" } else { found };
    bail!("this is libtorch {found}; the feature `tch` needs {wanted} exactly")
}

/// What the interpreter is asked: version and folder of its PyTorch.
const QUESTION: &str =
    "import os, torch; print(torch.__version__); print(os.path.dirname(os.path.abspath(torch.__file__)))";

/// Makes `own` a folder of links into the PyTorch of a Python. The Python is not needed afterwards, its PyTorch is.
///
/// # Errors
/// No such interpreter, no PyTorch in it, another version, or something in `own` that this program did not put there.
pub fn link_python(python: &Path, own: &Path, wanted: &str) -> Result<Found> {
    let output = Command::new(python)
        .args(["-c", QUESTION])
        .output()
        .with_context(|| format!("cannot start {}", python.display()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{} has no PyTorch: {}", python.display(), words.trim().lines().last().unwrap_or_default());
    }
    let answer = String::from_utf8(output.stdout).context("its answer is no text")?;
    let mut lines = answer.lines();
    let (Some(version), Some(torch)) = (lines.next(), lines.next()) else {
        bail!("{} did not say where its PyTorch is", python.display());
    };
    check_version(version, wanted).with_context(|| format!("the PyTorch of {}", python.display()))?;
    link(Path::new(torch), version, own)?;
    look(own, wanted)
}

/// The folder of links, made beside its place and moved there.
fn link(torch: &Path, version: &str, own: &Path) -> Result<()> {
    if own.exists() {
        if !own.join("build-version").is_file() {
            bail!("{} is there and holds no libtorch; it is left as it is", own.display());
        }
        fs::remove_dir_all(own).with_context(|| own.display().to_string())?;
    }
    let unborn = own.with_extension("part");
    if unborn.exists() {
        fs::remove_dir_all(&unborn).with_context(|| unborn.display().to_string())?;
    }
    fs::create_dir_all(&unborn)?;
    for part in ["include", "lib"] {
        symlink(&torch.join(part), &unborn.join(part))?;
    }
    fs::write(unborn.join("build-version"), version)?;
    fs::rename(&unborn, own).with_context(|| own.display().to_string())
}

/// A symbolic link at `at`.
///
/// # Errors
/// A disk that refuses, or a system without them.
pub fn symlink(to: &Path, at: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(to, at).with_context(|| format!("link {} to {}", at.display(), to.display()))
    }
    #[cfg(not(unix))]
    {
        bail!("links such as {} to {} are made on Unix only; set LIBTORCH instead", at.display(), to.display())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// One at a time writes a program and starts it: a process forked meanwhile would hold the file open for writing.
    static PROGRAMS: Mutex<()> = Mutex::new(());

    /// A folder as PyTorch has it, and a program that answers as its Python would.
    fn pytorch(dir: &Path, version: &str, cuda: bool) -> PathBuf {
        let torch = dir.join("site/torch");
        fs::create_dir_all(torch.join("lib")).unwrap();
        fs::create_dir_all(torch.join("include/torch/csrc/api/include/torch")).unwrap();
        fs::write(torch.join("include/torch/csrc/api/include/torch/torch.h"), "").unwrap();
        fs::write(torch.join("version.py"), format!("a = 1\n__version__ = '{version}'\n")).unwrap();
        let extra = if cuda { &["torch_cuda"][..] } else { &[] };
        for name in ["torch_cpu", "torch", "c10"].iter().chain(extra) {
            fs::write(torch.join(format!("lib/lib{name}{DLL}")), "").unwrap();
        }
        let python = dir.join("python");
        fs::write(&python, format!("#!/bin/sh\necho '{version}'\necho '{}'\n", torch.display())).unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
        python
    }

    #[test]
    fn an_installed_pytorch_is_linked_and_named_for_what_it_is() {
        let _alone = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner);
        for (version, cuda) in [("2.11.0+cpu", false), ("2.11.0+cu130", true)] {
            let dir = tempfile::tempdir().unwrap();
            let python = pytorch(dir.path(), version, cuda);
            let own = dir.path().join("libtorch");
            let found = link_python(&python, &own, "2.11.0").unwrap();
            assert_eq!((found.version.as_str(), found.has_cuda), (version, cuda));
            assert!(found.to_string().contains(version) && found.to_string().contains("CUDA") == cuda, "{found}");
            // Again, over the first.
            link_python(&python, &own, "2.11.0").unwrap();
            // The same PyTorch named directly.
            assert_eq!(look(&dir.path().join("site/torch"), "2.11.0").unwrap().version, version);
        }
    }

    #[test]
    fn another_version_no_pytorch_and_no_python_are_refused() {
        let _alone = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().unwrap();
        let python = pytorch(dir.path(), "2.12.0", false);
        let own = dir.path().join("libtorch");
        let error = format!("{:#}", link_python(&python, &own, "2.11.0").unwrap_err());
        assert!(error.contains("2.12.0") && error.contains("2.11.0"), "{error}");
        assert!(!own.exists());
        fs::write(&python, "#!/bin/sh\necho 'ModuleNotFoundError: no torch' >&2\nexit 1\n").unwrap();
        let error = format!("{:#}", link_python(&python, &own, "2.11.0").unwrap_err());
        assert!(error.contains("no PyTorch") && error.contains("ModuleNotFoundError"), "{error}");
        let error = format!("{:#}", link_python(&dir.path().join("absent"), &own, "2.11.0").unwrap_err());
        assert!(error.contains("absent"), "{error}");
        // Something of the user's in the way.
        let python = pytorch(dir.path(), "2.11.0", false);
        fs::create_dir(&own).unwrap();
        fs::write(own.join("thesis.tex"), "").unwrap();
        assert!(link_python(&python, &own, "2.11.0").unwrap_err().to_string().contains("left as it is"));
        assert!(own.join("thesis.tex").exists());
    }

    #[test]
    fn a_folder_that_lacks_a_part_is_no_libtorch() {
        let dir = tempfile::tempdir().unwrap();
        pytorch(dir.path(), "2.11.0", false);
        let torch = dir.path().join("site/torch");
        fs::remove_file(torch.join(format!("lib/libc10{DLL}"))).unwrap();
        assert!(look(&torch, "2.11.0").unwrap_err().to_string().contains("libc10"));
        assert!(look(dir.path(), "2.11.0").unwrap_err().to_string().contains("no libtorch"));
    }
}
