//! `dal report` of a campaign's folder: one page.

use std::path::Path;

use anyhow::Result;
use dal_campaign::{Folder, ModelInsight};
use dal_core::Stop;
use dal_report::campaign::{CampaignData, write_campaign_page};

use super::page::{Known, gather, newest_model};
use super::{read, trainer, write};
use crate::Done;
use crate::output::{outln, say};

/// Whether a folder is a campaign's.
pub fn is_campaign(folder: &Path) -> bool {
    folder.join("log").is_file() && folder.join("campaign.toml").is_file()
}

/// How the report is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportFormat {
    /// A page.
    #[default]
    Html,
    /// What a campaign's page shows as one JSON object on standard output; no page is written.
    Json,
}

/// Writes the page of a campaign into a folder, its own where no other is given.
pub fn run(folder: &Path, out: Option<&Path>, threads: Option<usize>, format: ReportFormat) -> Result<Done> {
    let data = current(folder, threads)?;
    if format == ReportFormat::Json {
        outln!("{}", serde_json::to_string_pretty(&data)?);
        return Ok(Done::Fully);
    }
    let page = write_campaign_page(&data, out.unwrap_or(folder))?;
    outln!("{}", page.display());
    Ok(Done::Fully)
}

/// The folder with the model of all labels, which is trained if its file is not there.
fn trained(at: &Path, threads: Option<usize>) -> Result<(Folder, Result<Known, String>)> {
    let folder = read(at)?;
    let current = |model| Known { model, is_current: true };
    if let Some(model) = folder.kept_model()? {
        return Ok((folder, Ok(current(model))));
    }
    let labels = folder.standing().labels;
    if labels == 0 {
        let why = "There is no model yet, because no point has an answer that it could learn.";
        return Ok((folder, Err(why.to_owned())));
    }
    say!("training a model of {labels} labels; the next report finds it again");
    // Where another process writes the campaign, a choice of network is not said in its log.
    let outcome = match write(at) {
        Ok(mut folder) => folder.trained(trainer(threads)?, &Stop::new()),
        Err(_) => folder.model(trainer(threads)?, &Stop::new()),
    };
    let folder = read(at)?;
    match outcome {
        Ok(model) => Ok((folder, Ok(current(model)))),
        // A page without that model says more than none.
        Err(error) => {
            say!("note: the model of all labels cannot be trained: {error}");
            let known = newest_model(&folder)?.ok_or_else(|| format!("There is no model: {error}."));
            Ok((folder, known))
        }
    }
}

/// Everything that the page shows.
fn current(at: &Path, threads: Option<usize>) -> Result<CampaignData> {
    let (folder, known) = trained(at, threads)?;
    let insight = known.as_ref().map_err(Clone::clone).and_then(|known| {
        let asked = folder.model_insight(&known.model, &Stop::new());
        asked.map_err(|error| format!("The model cannot be asked: {error}."))
    });
    let why = insight.as_ref().err().cloned().unwrap_or_default();
    if !why.is_empty() {
        say!("note: {why}");
    }
    let model: Option<(&Known, &ModelInsight)> = known.as_ref().ok().zip(insight.as_ref().ok());
    gather(&folder, at, model, &why, crate::outcome::now())
}
