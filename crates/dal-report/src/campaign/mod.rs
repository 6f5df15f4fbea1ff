//! The page of a campaign: from plain data to one self-contained HTML file in the manner of the benchmark's page, in
//! the words of an engineer's report.
//!
//! ```
//! use dal_report::campaign::{CampaignData, campaign_page};
//! let no_model = "There is no model yet.".to_owned();
//! let data = CampaignData { problem: "beam".into(), no_model, ..CampaignData::default() };
//! let page = campaign_page(&data, false);
//! assert!(page.starts_with("<!DOCTYPE html>") && page.contains("May I stop?"));
//! ```

mod charts;
mod data;
mod effects;
mod page;
mod scale;
mod tables;
mod words;

pub use self::data::{
    AskedRow, CampaignData, Curve, ErrorNow, Estimate, Failing, FailureKind, Foretold, Input, InputKind, JudgedBy, Map,
    ModelData, Network, NextStep, Output, Pending, Picks, Place, Profile, Ranged, RoundKind, RoundRow, Rung,
    StoppingRule, Trend, TrendMark, Unsure,
};
pub use self::page::{campaign_page, write_campaign_page};
