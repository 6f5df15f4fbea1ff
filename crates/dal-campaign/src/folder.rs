//! The folder of a campaign: its two files that people edit, its log, its models.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dal_core::Clock;
use dal_store::{Log, StoreError};
use ndarray::Array2;

use crate::constraints::{Constraint, ConstraintError};
use crate::domain;
use crate::error::CampaignError;
use crate::settings::CampaignFile;
use crate::state::State;
use crate::subject::Subject;
use crate::words::{Begun, Ended, Round, What, Word};

/// The domain of a campaign without constraints, a list or a sample, in words.
pub const WHOLE_SPACE: &str = "the whole space";

/// What binds a line to a campaign's log.
const SALT: &str = "dal campaign 1";
/// How often, and how far apart, another process that writes is waited for: one that tells or asks is done soon.
const PATIENCE: (usize, Duration) = (40, Duration::from_millis(50));

/// A campaign's folder.
///
/// ```text
/// DIR/
///   campaign.toml   seed, batch, strategy, model, budget; edited by hand
///   problem.toml    inputs, outputs, who answers (or wherever campaign.toml says that it lies)
///   log             everything that was said, one checksummed line each; only ever appended to
///   models/         trained networks, named by what they were trained on; may be deleted
/// ```
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    file: CampaignFile,
    subject: Arc<Subject>,
    constraints: Arc<Vec<Constraint>>,
    listed: Option<Arc<Array2<f64>>>,
    sampled: Option<Arc<Array2<f64>>>,
    notes: Vec<dal_files::Note>,
    domain: String,
    learns_all: bool,
    words: Vec<Word>,
    state: State,
    spoilt: u64,
    now: Now,
    log: Option<Log>,
}

/// Seconds since 1970.
#[derive(Clone)]
struct Now(Clock);

impl std::fmt::Debug for Now {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Now")
    }
}

impl Folder {
    /// Begins a campaign in a folder, which is made if need be. `now` says seconds since 1970.
    ///
    /// # Errors
    /// A campaign that is there already, settings or a problem file that make no sense, a disk that refuses.
    pub fn begin(root: &Path, file: &CampaignFile, now: Clock) -> Result<Self, CampaignError> {
        if root.join("log").exists() {
            return Err(CampaignError::Present { path: root.to_owned() });
        }
        let settings = root.join("campaign.toml");
        let fault = |problem: String| CampaignError::File { path: settings.clone(), problem };
        // A beginning that was cut short left these settings, or the first part of them, and no log.
        let begun = || fs::read_to_string(&settings).is_ok_and(|text| file.text().starts_with(&text));
        if settings.exists() && !begun() {
            return Err(fault("is there already, but no log beside it; take it away, or give another folder".into()));
        }
        file.check().map_err(fault)?;
        let subject = Subject::open(&root.join(&file.problem))?;
        subject.check_names()?;
        constraints(&file.constraints, &subject).map_err(|error| fault(error.to_string()))?;
        tables(root, file, &subject, &mut Vec::new())?;
        target(file, &subject).map_err(fault)?;
        fs::create_dir_all(root).map_err(|error| CampaignError::File {
            path: root.to_owned(),
            problem: format!("cannot be made: {error}"),
        })?;
        fs::write(&settings, file.text()).map_err(|error| fault(format!("cannot be written: {error}")))?;
        let word = Word { n: 0, at: now(), what: What::Begun(subject.begun()) };
        let text = serde_json::to_string(&word).map_err(|error| fault(error.to_string()))?;
        match Log::create(&root.join("log"), SALT, &text) {
            Ok(_) => {}
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(CampaignError::Present { path: root.to_owned() });
            }
            Err(error) => return Err(error.into()),
        }
        Self::write(root, now)
    }

    /// Opens a campaign to look at it. Another process may write meanwhile.
    ///
    /// # Errors
    /// No campaign, a log that lacks a line, settings or a problem file that make no sense.
    pub fn read(root: &Path, now: Clock) -> Result<Self, CampaignError> {
        Self::open(root, now, None)
    }

    /// Opens a campaign to add to it; no other process can meanwhile.
    ///
    /// # Errors
    /// As [`read`](Self::read); another process that is at work on it.
    pub fn write(root: &Path, now: Clock) -> Result<Self, CampaignError> {
        let path = root.join("log");
        if !path.exists() {
            return Err(CampaignError::Absent { path: root.to_owned() });
        }
        let mut patience = PATIENCE.0;
        let log = loop {
            match Log::open(&path, SALT) {
                Ok(log) => break log,
                Err(StoreError::Locked { .. }) if patience > 0 => {
                    patience -= 1;
                    std::thread::sleep(PATIENCE.1);
                }
                Err(StoreError::Locked { .. }) => return Err(CampaignError::Busy { path: root.to_owned() }),
                Err(error) => return Err(error.into()),
            }
        };
        Self::open(root, now, Some(log))
    }

    fn open(root: &Path, now: Clock, log: Option<Log>) -> Result<Self, CampaignError> {
        let (words, begun, spoilt) = said(root)?;
        let settings = root.join("campaign.toml");
        let file = CampaignFile::read(&settings)?;
        let subject = Subject::open(&root.join(&file.problem))?;
        subject.check(&begun)?;
        let constraints = constraints(&file.constraints, &subject)
            .map_err(|error| CampaignError::File { path: settings, problem: error.to_string() })?;
        target(&file, &subject).map_err(|problem| CampaignError::File { path: root.join("campaign.toml"), problem })?;
        let mut notes = Vec::new();
        let [listed, sampled] = tables(root, &file, &subject, &mut notes)?.map(|table| table.map(Arc::new));
        let state = State::of(&words, &subject);
        let list = listed.as_deref().or_else(|| subject.problem().candidates());
        let domain = domain::of(
            &subject,
            &constraints,
            list.map(|list| list.view()),
            sampled.as_deref().map(|sample| sample.view()),
        );
        Ok(Self {
            root: root.to_owned(),
            file,
            subject: Arc::new(subject),
            constraints: Arc::new(constraints),
            listed,
            sampled,
            notes,
            domain,
            learns_all: false,
            words,
            state,
            spoilt,
            now: Now(now),
            log,
        })
    }

    /// Whether a process adds to the campaign in a folder now, this one included: a run that goes on, a table that is
    /// told.
    pub fn is_written(root: &Path) -> bool {
        // The lock is given back at once; who wants to write meanwhile waits for longer than that.
        let log = fs::File::open(root.join("log"));
        log.is_ok_and(|log| matches!(log.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    }

    /// Whether this folder was opened to be added to: no other process can add to it then.
    pub(crate) fn is_writer(&self) -> bool {
        self.log.is_some()
    }

    /// Says something: it is on disk when this returns.
    pub(crate) fn say(&mut self, what: What) -> Result<(), CampaignError> {
        let path = self.root.join("log");
        let Some(log) = &mut self.log else {
            return Err(CampaignError::Log { path, problem: "it was opened to be looked at only".into() });
        };
        let word = Word { n: self.words.len() as u64, at: (self.now.0)(), what };
        let text = serde_json::to_string(&word)
            .map_err(|error| CampaignError::Log { path, problem: format!("a line cannot be written: {error}") })?;
        log.append(&text)?;
        self.words.push(word);
        match self.words.last() {
            Some(Word { what: What::Undone { .. }, .. }) => self.state = State::of(&self.words, &self.subject),
            Some(word) => self.state.hear(word, &self.subject),
            None => {}
        }
        Ok(())
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What `campaign.toml` says.
    pub fn settings(&self) -> &CampaignFile {
        &self.file
    }

    /// The problem.
    pub fn subject(&self) -> &Arc<Subject> {
        &self.subject
    }

    /// What points that are drawn have to meet.
    pub fn constraints(&self) -> &Arc<Vec<Constraint>> {
        &self.constraints
    }

    /// What was assumed of the list of points and of the sample, where the settings name them.
    pub fn notes(&self) -> &[dal_files::Note] {
        &self.notes
    }

    /// The only points that may be asked for, on the unit box; none where any may.
    pub(crate) fn listed(&self) -> Option<&Arc<Array2<f64>>> {
        self.listed.as_ref()
    }

    /// Points that stand for where the model will be used, on the unit box; none where that is the whole space.
    pub(crate) fn sampled(&self) -> Option<&Arc<Array2<f64>>> {
        self.sampled.as_ref()
    }

    /// What tells the present domain apart: bounds, scales, levels, constraints, the rows of a list and of a sample.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Whether a round was drawn from the present domain, as far as its log says.
    pub(crate) fn is_of_domain(&self, round: &Round) -> bool {
        round.candidates.domain.is_empty() || round.candidates.domain == self.domain
    }

    /// The numbers of the rounds that were.
    pub(crate) fn rounds_here(&self) -> HashSet<usize> {
        self.state.rounds().iter().filter(|round| self.is_of_domain(round)).map(|round| round.round).collect()
    }

    /// The rule that ended the last run, as [`State::ended`] has it; none where it spoke of another domain.
    pub fn ended(&self) -> Option<&Ended> {
        self.state.ended().filter(|ended| ended.domain.is_empty() || ended.domain == self.domain)
    }

    /// Rounds of an earlier domain that would judge models of it; they say nothing of the present one.
    pub fn rounds_elsewhere(&self) -> usize {
        let judges =
            |round: &&Round| !round.held_out.is_empty() || round.points.iter().any(|point| point.probability.is_some());
        self.state.rounds().iter().filter(|round| !self.is_of_domain(round)).filter(judges).count()
    }

    /// The present domain in words, as in "the error over …"; of a list so many rows, which are `left`.
    pub(crate) fn domain_in_words(&self, rows: usize, left: &str) -> String {
        let bound = |words: &str| if self.constraints.is_empty() { String::new() } else { words.to_owned() };
        let list = self.file.candidate_list.as_ref().map(|list| list.display().to_string());
        let table = || self.subject.problem().candidates().map(|_| "the problem's table".to_owned());
        match (list.or_else(table), &self.file.sample) {
            (Some(list), _) => {
                format!("the {rows} rows of {list} that were not {left}{}", bound(" and meet the constraints"))
            }
            (None, Some(sample)) => {
                let met = bound(" and meet the constraints");
                format!("the distinct rows of {} that were not {left}{met}", sample.display())
            }
            (None, None) if self.constraints.is_empty() => WHOLE_SPACE.into(),
            (None, None) => "the part of the space where the constraints hold".into(),
        }
    }

    /// From now on this folder's models learn the points that are held out, too (those of audits stay out): the last
    /// training of a campaign. The estimate of the model without them is an upper guess of its error.
    pub fn learn_all(&mut self) {
        self.learns_all = true;
    }

    pub(crate) fn learns_all(&self) -> bool {
        self.learns_all
    }

    /// Everything that was said, in order.
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// What follows from it.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Bytes of the log that belong to no line: what killed processes left of lines that were never said.
    pub fn spoilt(&self) -> u64 {
        self.spoilt
    }

    /// Seconds since 1970.
    pub fn now(&self) -> f64 {
        (self.now.0)()
    }

    /// Where models lie.
    pub(crate) fn models(&self) -> PathBuf {
        self.root.join("models")
    }
}

/// Everything that a campaign's log says, the first word of it, and the bytes that belong to no line.
fn said(root: &Path) -> Result<(Vec<Word>, Begun, u64), CampaignError> {
    let path = root.join("log");
    if !path.exists() {
        return Err(CampaignError::Absent { path: root.to_owned() });
    }
    let bad = |problem: String| CampaignError::Log { path: path.clone(), problem };
    let text = Log::read(&path, SALT)?;
    let mut words: Vec<Word> = Vec::with_capacity(text.lines.len());
    for line in &text.lines {
        let word: Word = serde_json::from_str(line).map_err(|error| {
            bad(format!(
                "line {} says what this version of dal does not know ({error}); use the one that wrote it",
                words.len() + 1
            ))
        })?;
        if word.n != words.len() as u64 {
            return Err(bad(format!(
                "line {} is damaged or lost, and what follows depends on it; bring the log back from a backup",
                words.len() + 1
            )));
        }
        words.push(word);
    }
    if let Some(at) = text.lost_from {
        return Err(bad(format!(
            "what was said last is damaged, from byte {at} on, and lost; bring the log back from a backup, or go on \
             without it (`truncate -s {at} {}`)",
            path.display()
        )));
    }
    let Some(Word { what: What::Begun(begun), .. }) = words.first() else {
        return Err(bad("its first line is damaged; bring the log back from a backup".into()));
    };
    if begun.version != 1 {
        return Err(bad(format!("it has version {}, this dal reads version 1", begun.version)));
    }
    let begun = begun.clone();
    Ok((words, begun, text.spoilt))
}

/// What a log says, its first word, and the problem as its file has it now, whether its columns are still those or not.
pub(crate) fn begun(root: &Path) -> Result<(Vec<Word>, Begun, Subject), CampaignError> {
    let (words, begun, _) = said(root)?;
    let file = CampaignFile::read(&root.join("campaign.toml"))?;
    let subject = Subject::open(&root.join(&file.problem))?;
    Ok((words, begun, subject))
}

/// What is wrong with the target, if anything.
fn target(file: &CampaignFile, subject: &Subject) -> Result<(), String> {
    file.target.as_ref().map_or(Ok(()), |target| target.check(Some(subject.outputs())))
}

/// Reads the list of points that may be asked for, and the sample of points, where the settings name them.
/// What was assumed of the files comes along.
fn tables(
    root: &Path,
    file: &CampaignFile,
    subject: &Subject,
    notes: &mut Vec<dal_files::Note>,
) -> Result<[Option<Array2<f64>>; 2], CampaignError> {
    let mut read = |key, path| table(root, key, path, subject, notes);
    Ok([read("candidate_list", &file.candidate_list)?, read("sample", &file.sample)?])
}

fn table(
    root: &Path,
    key: &str,
    path: &Option<PathBuf>,
    subject: &Subject,
    notes: &mut Vec<dal_files::Note>,
) -> Result<Option<Array2<f64>>, CampaignError> {
    let Some(path) = path.as_ref().map(|list| root.join(list)) else { return Ok(None) };
    let fault = |problem: String| CampaignError::File { path: path.clone(), problem };
    if subject.problem().candidates().is_some() {
        return Err(fault(format!("{key}: the problem's own table is the list already; take the key out")));
    }
    let (points, said) = dal_files::points(dal_files::Source::open(&path)?, &subject.inputs())?;
    notes.extend(said);
    match points.outside.first() {
        Some((_, reason)) => {
            Err(fault(format!("{key}: {} rows are no points of the problem: {reason}", points.outside.len())))
        }
        None => Ok(Some(points.x)),
    }
}

/// Reads constraints over a problem's inputs.
///
/// # Errors
/// The first that cannot be read.
pub fn constraints(texts: &[String], subject: &Subject) -> Result<Vec<Constraint>, ConstraintError> {
    texts.iter().map(|text| Constraint::parse(text, subject.names(), subject.levels())).collect()
}
