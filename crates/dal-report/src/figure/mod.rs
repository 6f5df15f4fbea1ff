//! The figures: what is drawn, what is said about it in words, and where a reader can stop to read values.

mod against_ratio;
mod by_entry;
mod combined;
mod curves;
mod glance;
mod ranks;

use serde::Serialize;

pub(crate) use self::against_ratio::{Quantity, against_ratio};
pub(crate) use self::by_entry::by_entry;
pub(crate) use self::combined::combined;
pub(crate) use self::curves::{SeriesCurves, learning_curves};
pub(crate) use self::glance::glance;
pub(crate) use self::ranks::ranks;
use crate::canvas::Drawing;
use crate::data::stands_for_every_ratio;
use crate::findings::Part;
use crate::table::{Entry, Row, Table};

/// A figure.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// Names its file and its element in the page.
    pub(crate) id: String,
    /// What it shows, as a heading.
    pub(crate) title: String,
    /// What there is to see, for those who cannot see it and for the file's description.
    pub(crate) alt: String,
    /// As drawn in the page: without a legend, which the page has beside it.
    pub(crate) on_page: Drawing,
    /// As saved for a paper: with a legend.
    pub(crate) for_paper: Drawing,
    /// Where to stop and what is there.
    pub(crate) stops: Stops,
    /// Which problem it is of, if of one.
    pub(crate) problem: Option<String>,
    /// Which pool ratio it is of, if of one.
    pub(crate) ratio: Option<usize>,
    /// Id of the error or other measure it shows, where the page lets the reader choose one.
    pub(crate) metric: Option<&'static str>,
}

/// Places in a figure at which values are read, in pixels of the page's drawing.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Stops {
    /// Horizontal position of each stop.
    pub(crate) x: Vec<f64>,
    /// What stands there on the axis.
    pub(crate) l: Vec<String>,
    /// What each series has there.
    pub(crate) s: Vec<SeriesStops>,
}

impl Stops {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.x.len()
    }
}

/// Values of one series at the stops.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SeriesStops {
    /// Style of the series.
    pub(crate) i: usize,
    /// Name of the series.
    pub(crate) n: String,
    /// Height of its mark; none where it has none.
    pub(crate) y: Vec<Option<f64>>,
    /// The values in words.
    pub(crate) v: Vec<String>,
}

impl Figure {
    /// The values that can be read off, as a table: one row per stop, or per mark where each stop is a single mark.
    pub(crate) fn values(&self) -> Table {
        self.values_at(1)
    }

    /// The same of every so many stops and the last: of figures that are there by the hundred.
    pub(crate) fn values_at(&self, every: usize) -> Table {
        let n = self.stops.len();
        let stops: Vec<usize> = (0..n).filter(|k| k % every == 0 || k + 1 == n).collect();
        let said = |k: usize| self.stops.s.iter().filter(move |s| !s.v[k].is_empty());
        let single = (0..self.stops.len()).all(|k| said(k).count() == 1);
        let (columns, rows): (Vec<String>, Vec<Row>) = if single {
            let row = |k: usize| {
                let of = said(k).next();
                let words = [of.map(|s| s.n.clone()), Some(self.stops.l[k].clone()), of.map(|s| s.v[k].clone())];
                let cells = words.into_iter().map(|w| Entry::text(w.unwrap_or_default())).collect();
                Row { cells, method: of.map(|s| s.i), ..Row::default() }
            };
            (["method", "at", "value"].map(str::to_owned).to_vec(), stops.iter().map(|k| row(*k)).collect())
        } else {
            let labels = stops.iter().map(|k| self.stops.l[*k].clone());
            let columns = std::iter::once("method".to_owned()).chain(labels).collect();
            let row = |s: &SeriesStops| {
                let cells = std::iter::once(&s.n).chain(stops.iter().map(|k| &s.v[*k])).map(Entry::text).collect();
                Row { cells, method: Some(s.i), ..Row::default() }
            };
            (columns, self.stops.s.iter().map(row).collect())
        };
        Table {
            id: format!("{}-values", self.id),
            caption: format!("{}: values", self.title),
            columns,
            n_labels: 1,
            rows,
        }
    }
}

/// Whether anything was planned on a problem at a pool ratio: where only rules stand that no pool matters to, their
/// runs belong to the problem's other pool ratios. A problem of such rules alone has no ratio of its own, so any will
/// do.
fn is_planned(part: &Part, problem: usize, ratio: usize) -> bool {
    let of_pool = || part.methods.iter().filter(|m| !stands_for_every_ratio(&m.id)).map(|m| &m.cells[problem]);
    of_pool().any(|row| row[ratio].is_some()) || of_pool().flatten().all(Option::is_none)
}

/// Letters, digits and dashes only, for file names and element ids.
pub(crate) fn file_name(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect()
}
