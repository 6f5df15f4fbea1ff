//! Relative links in Markdown lead somewhere.

use std::path::Path;

use anyhow::Result;

use crate::{Findings, Project};

pub fn check(project: &Project) -> Result<Findings> {
    let mut found = Findings::default();
    for file in project.with_extension("md") {
        let folder = project.root.join(file.parent().unwrap_or(Path::new("")));
        let mut in_code = false;
        for (i, line) in project.read(file)?.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                in_code = !in_code;
            }
            if in_code {
                continue;
            }
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let target = target.split('#').next().unwrap_or(target);
                if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                if !folder.join(target).exists() {
                    let place = file.display();
                    found.offences.push(format!("{place}:{}: links to {target}, which does not exist", i + 1));
                }
            }
        }
    }
    Ok(found)
}
