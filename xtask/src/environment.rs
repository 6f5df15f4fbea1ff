//! Python environments under the target directory, with the packages that lists of requirements pin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{run, target_dir};

/// Whether a program starts.
pub fn runs(program: &Path) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// The Python of an environment with what these lists pin, made anew where they or the Python below it have changed.
pub fn environment(base: &Path, name: &str, lists: &[PathBuf]) -> Result<PathBuf> {
    let mut wanted = format!("# {}\n", base.display());
    for list in lists {
        wanted += &fs::read_to_string(list).with_context(|| list.display().to_string())?;
    }
    let environment = target_dir().join("python").join(format!("env-{name}"));
    let python = environment.join("bin/python");
    let stamp = environment.join("requirements.installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    run(Command::new(base).args(["-m", "venv", "--clear"]).arg(&environment))?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    for list in lists {
        install.arg("-r").arg(list);
    }
    run(&mut install)?;
    fs::write(stamp, wanted)?;
    Ok(python)
}
