//! A problem ready to be sampled and labelled, and what a run needs of it.

mod definition;
mod presets;
pub mod user;

use std::sync::Arc;

use dal_core::{
    MlpEnsemble, Oracle, OutputScaling, SettingCard, SettingError, Settings, Shape, Space, SpaceError, Value,
};
use dal_files::{Moves, Note, Points};
use ndarray::{Array2, ArrayView1};
use thiserror::Error;

use self::user::Asking;
use self::user::table::TableOracle;
use crate::card::Card;

pub use self::definition::{Built, Definition};
pub use self::presets::{PUBLISHED, TUNED};

/// A column of a problem's inputs or outputs, for headers and axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its unit; `1` for none.
    pub unit: String,
    /// The names of its levels, of a categorical input; otherwise none.
    pub levels: Vec<String>,
}

/// Who answers for a problem's points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnsweredBy {
    /// A formula or model of the catalogue.
    Catalogue,
    /// A user's table, which is the pool as well.
    Table,
    /// A user's program.
    Program,
    /// A user's forest.
    Forest,
    /// A user's network.
    Network,
    /// People who measure: this program cannot ask them.
    Laboratory,
}

impl AnsweredBy {
    /// In words, as in "a program".
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Catalogue => "the catalogue",
            Self::Table => "a table",
            Self::Program => "a program",
            Self::Forest => "a forest",
            Self::Network => "a network",
            Self::Laboratory => "a laboratory",
        }
    }
}

/// A label was wanted of a problem that has no oracle.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{problem}` has no oracle: a laboratory answers for it, which this command cannot ask; give its file one of \
     [oracle.command], [oracle.driver], [oracle.table], [oracle.forest], [oracle.network], or begin a campaign with \
     `dal new` or let `dal select` choose what to measure next"
)]
pub struct NoOracle {
    /// The problem's id.
    pub problem: String,
}

/// A problem ready to be sampled and, unless a laboratory answers for it, labelled: built in, or a user's.
#[derive(Clone, Debug)]
pub struct Problem {
    pub(crate) id: String,
    pub(crate) title: Option<String>,
    pub(crate) settings: Settings,
    pub(crate) card: Option<&'static Card>,
    pub(crate) space: Space,
    pub(crate) answered_by: AnsweredBy,
    /// None where a laboratory answers.
    pub(crate) oracle: Option<Arc<dyn Oracle>>,
    pub(crate) inputs: Vec<Column>,
    pub(crate) outputs: Vec<Column>,
    pub(crate) candidates: Option<Array2<f64>>,
    /// The rows that answer, of a user's table.
    pub(crate) table: Option<Arc<TableOracle>>,
    pub(crate) model: MlpEnsemble,
    pub(crate) scaling: OutputScaling,
    pub(crate) digest: Option<String>,
    pub(crate) asking: Option<Arc<Asking>>,
    pub(crate) notes: Vec<String>,
    pub(crate) oracle_in_words: Option<String>,
}

impl Problem {
    pub(crate) fn build(definition: &'static Definition, given: &Settings) -> Result<Self, SettingError> {
        let card = &definition.card;
        let settings = given.resolve(&format!("problem `{}`", card.id), card.settings)?;
        let built = (definition.build)(&settings)?;
        let column = |name: String, unit: &str| Column { name, unit: unit.to_owned(), levels: Vec::new() };
        let inputs = card.inputs.iter().map(|input| column(input.name.to_owned(), input.unit)).collect();
        let outputs = match built.oracle.n_outputs() {
            1 => vec![column(card.outputs.name.to_owned(), card.outputs.unit)],
            n => (0..n).map(|k| column(format!("{}_{k}", card.outputs.name), card.outputs.unit)).collect(),
        };
        Ok(Self {
            id: card.id.to_owned(),
            title: Some(card.title.to_owned()),
            settings,
            card: Some(card),
            space: built.space,
            answered_by: AnsweredBy::Catalogue,
            oracle: Some(built.oracle),
            inputs,
            outputs,
            candidates: None,
            table: None,
            model: card.published.model.clone(),
            scaling: OutputScaling::default(),
            digest: None,
            asking: None,
            notes: Vec::new(),
            oracle_in_words: None,
        })
    }

    /// The id: of the catalogue, or the name in a user's problem file.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it is in a few words: of the card, or of a user's problem file where that says it.
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// Every setting with its value, a path that is not set excepted; a user's problem has none.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The id with every setting that is not the default, as in `bessel?order=staircase`: what names the problem's
    /// random streams and tells its runs from those of other variants.
    pub fn variant_id(&self) -> String {
        self.changed_settings().variant(&self.id)
    }

    /// The settings that are not at their default.
    fn changed_settings(&self) -> Settings {
        let cards: &[SettingCard] = self.card.map_or(&[], |card| card.settings);
        self.settings.changed(cards)
    }

    /// The card; a user's problem has none.
    pub fn card(&self) -> Option<&'static Card> {
        self.card
    }

    /// The published model, or that of a user's file: the preset `published`.
    pub fn model(&self) -> &MlpEnsemble {
        &self.model
    }

    /// How answers are transformed and standardised before a model learns them; built-in problems take them as they
    /// come, which is the published form.
    pub fn scaling(&self) -> &OutputScaling {
        &self.scaling
    }

    /// The presets: `published`, and `tuned` where a search was made. The tuned model of a variant whose oracle is
    /// another (settings that are not the default) is that of the default settings.
    pub fn presets(&self) -> Vec<&'static str> {
        let tuned = self.card.is_some_and(|card| card.tuned.is_some());
        if tuned { vec![PUBLISHED, TUNED] } else { vec![PUBLISHED] }
    }

    /// The preset that is used unless a run names one: `tuned` where that is better on the test set, with the default
    /// settings; otherwise `published`.
    pub fn default_preset(&self) -> &'static str {
        match self.card.and_then(|card| card.tuned.as_ref()) {
            Some(tuned) if tuned.is_default && self.changed_settings().is_empty() => TUNED,
            _ => PUBLISHED,
        }
    }

    /// The model of a preset; `None` for one that this problem does not have.
    pub fn preset(&self, name: &str) -> Option<&MlpEnsemble> {
        match name {
            PUBLISHED => Some(&self.model),
            TUNED => self.card?.tuned.as_ref().map(|tuned| &tuned.model),
            _ => None,
        }
    }

    /// For a user's problem a SHA-256, in hexadecimal, of what must be equal for two runs to be of the same problem:
    /// who answers (see [`Asking`]), the inputs with their bounds and scales, and the table, forest or network. A
    /// comment, a unit, a limit, retries and the network to be trained are not in it.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Who answers for the problem's points.
    pub fn answered_by(&self) -> AnsweredBy {
        self.answered_by
    }

    /// What kept answers depend on; `None` for a built-in problem and for a table, whose answers cost nothing.
    pub fn asking(&self) -> Option<&Asking> {
        self.asking.as_deref()
    }

    /// Who answers for a user's problem, in words: `the program python3 simulate.py`; none of a built-in one.
    pub fn oracle_in_words(&self) -> Option<&str> {
        self.oracle_in_words.as_deref()
    }

    /// What was assumed of a user's table, a sentence each, for the caller to print.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Where the problem's points come from; its columns are the oracle's inputs.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Columns and outputs, as a model meets them.
    pub fn shape(&self) -> Shape {
        Shape { n_inputs: self.space.n_columns(), n_outputs: self.outputs.len() }
    }

    /// What labels points of the unit box.
    ///
    /// # Errors
    /// A laboratory answers for the problem's points.
    pub fn oracle(&self) -> Result<&Arc<dyn Oracle>, NoOracle> {
        self.oracle.as_ref().ok_or_else(|| NoOracle { problem: self.id.clone() })
    }

    /// The same problem asked through another oracle, one that remembers answers, say.
    #[must_use]
    pub fn with_oracle(self, oracle: Arc<dyn Oracle>) -> Self {
        Self { oracle: Some(oracle), ..self }
    }

    /// The same problem; a driver's directories are in this folder, unless the problem file names another. It holds of
    /// oracles that are made of what [`asking`](Self::asking) says.
    #[must_use]
    pub fn working_in(self, folder: &std::path::Path) -> Self {
        let asking = self.asking.map(|asking| Arc::new(Asking::clone(&asking).working_in(folder)));
        Self { asking, ..self }
    }

    /// The same problem; a program is called once for a point, whatever its `retries`, because the caller counts the
    /// attempts. It holds of oracles that are made of what [`asking`](Self::asking) says.
    #[must_use]
    pub fn tried_once(self) -> Self {
        let asking = self.asking.map(|asking| Arc::new(Asking::clone(&asking).tried_once()));
        Self { asking, ..self }
    }

    /// The inputs as the user knows them: one per dimension of the space, not per column.
    pub fn inputs(&self) -> &[Column] {
        &self.inputs
    }

    /// The inputs of a point of the unit box in their units, as text; a level by its name.
    ///
    /// # Errors
    /// A wrong number of columns.
    pub fn in_words(&self, point: ArrayView1<'_, f64>) -> Result<Vec<String>, SpaceError> {
        let values = self.space.to_physical(point)?.into_iter().enumerate();
        let text = |(input, value): (usize, Value)| match value {
            Value::Level(level) => {
                let name = self.inputs.get(input).and_then(|column| column.levels.get(level));
                name.cloned().unwrap_or_else(|| level.to_string())
            }
            other => other.to_string(),
        };
        Ok(values.map(text).collect())
    }

    /// The outputs, in the order of an answer.
    pub fn outputs(&self) -> &[Column] {
        &self.outputs
    }

    /// The only points that can be labelled, shape (n, n_columns) on the unit box, where there is such a list (a
    /// table); otherwise any point of the space can.
    pub fn candidates(&self) -> Option<&Array2<f64>> {
        self.candidates.as_ref()
    }

    /// Moves points of a file that are a row of the problem's table but for rounding (1e-12 of an input's range) onto
    /// that row, and counts it in the note of what was moved there; of another problem nothing is moved.
    pub fn onto_rows(&self, points: &mut Points, notes: &mut Vec<Note>) {
        let Some(table) = &self.table else { return };
        let mut moves = Moves::default();
        for (row, point) in points.x.outer_iter_mut().enumerate() {
            if points.outside.binary_search_by_key(&row, |(row, _)| *row).is_err() {
                table.move_onto_row(point, &mut moves);
            }
        }
        moves.say(points.table.file(), notes);
    }
}
