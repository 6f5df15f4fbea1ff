//! `cargo xtask python`: writes the Python package's query classes from the catalogue of strategies, or checks them.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::{built_dal, capture, root};

/// What to do with the classes.
#[derive(clap::Args)]
pub struct Args {
    /// Compare with what is committed instead of writing.
    #[arg(long)]
    pub check: bool,
    /// The cards, as `dal strategies --format json` prints them; without it `dal` is built and asked.
    #[arg(long, value_name = "FILE")]
    pub cards: Option<PathBuf>,
}

/// Classes whose name is not their id in capitals.
const NAMES: &[(&str, &str)] = &[
    ("random", "RandomSampling"),
    ("gsx", "GreedySamplingX"),
    ("gsy", "GreedySamplingY"),
    ("gsxy", "GreedySamplingXY"),
    ("qbc", "QueryByCommittee"),
    ("qbc-diversity", "QueryByCommitteeDiversity"),
    ("qbc-diversity-density", "QueryByCommitteeDiversityDensity"),
    ("emoc", "ExpectedModelOutputChange"),
    ("dacs", "DensityAwareCoreSet"),
    ("lhs", "LatinHypercube"),
    ("power-qbc", "PowerQueryByCommittee"),
    ("power-qbc-diversity", "PowerQueryByCommitteeDiversity"),
    ("power-emoc", "PowerExpectedModelOutputChange"),
];

/// Columns of a docstring.
const WIDTH: usize = 112;

/// Writes or checks `query.py` and `query.pyi`.
pub fn run_writing(args: &Args) -> Result<()> {
    let text = match &args.cards {
        Some(path) => fs::read_to_string(path).with_context(|| path.display().to_string())?,
        None => capture(Command::new(built_dal(None)?).args(["strategies", "--format", "json"]))?,
    };
    let cards: Vec<Value> = serde_json::from_str(&text).context("the cards of `dal strategies`")?;
    let classes = cards.iter().map(Class::of).collect::<Result<Vec<_>>>()?;
    let folder = root().join("python/package/dal_regression");
    for (name, text) in [("query.py", source(&classes)), ("query.pyi", stub(&classes))] {
        let path = folder.join(name);
        if !args.check {
            fs::write(&path, text).with_context(|| path.display().to_string())?;
        } else if fs::read_to_string(&path).with_context(|| path.display().to_string())? != text {
            bail!("python/package/dal_regression/{name}: is not what the catalogue says; run `cargo xtask python`");
        }
    }
    Ok(())
}

struct Setting {
    key: String,
    default: String,
    kind: String,
    help: String,
}

struct Class {
    id: String,
    name: String,
    lines: Vec<String>,
    /// The class of `_query.py` that has its `query`, by what that is given beside the samples.
    base: &'static str,
    settings: Vec<Setting>,
}

fn word<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key].as_str().with_context(|| format!("a card lacks `{key}`"))
}

impl Class {
    fn of(card: &Value) -> Result<Self> {
        let id = word(card, "id")?;
        let needs = &card["needs"];
        let wants = |key: &str| !matches!(needs[key], Value::Null | Value::Bool(false));
        let base = if ["dropout", "features", "loss_head", "tangent", "input_gradient"].into_iter().any(wants) {
            "ModelMethod"
        } else if ["mean", "uncertainty", "committee"].into_iter().any(wants) {
            "CommitteeMethod"
        } else if matches!(id, "sobol" | "lhs") {
            "DesignMethod"
        } else {
            "PoolMethod"
        };
        let mut lines = wrapped(&format!("{}.", word(card, "title")?));
        lines.push(String::new());
        lines.extend(wrapped(&format!("Formula: {}.", word(card, "formula")?)));
        lines.extend(wrapped(&format!("Source: {}.", word(card, "source")?)));
        let settings = card["settings"].as_array().context("a card lacks `settings`")?;
        let settings = settings.iter().map(|setting| Setting::of(setting, &card["defaults"])).collect::<Result<_>>()?;
        let own = NAMES.iter().find(|(known, _)| *known == id).map(|(_, name)| (*name).to_owned());
        Ok(Self { id: id.into(), name: own.unwrap_or_else(|| capitals(id)), lines, base, settings })
    }
}

impl Setting {
    fn of(setting: &Value, defaults: &Value) -> Result<Self> {
        let key = word(setting, "key")?;
        let default = word(defaults, key)?;
        let values = &setting["values"];
        let mut help = word(setting, "help")?.to_owned();
        let (default, kind) = match values["one-of"].as_array() {
            Some(choices) => {
                let words = choices.iter().map(|choice| word(choice, "value")).collect::<Result<Vec<_>>>()?;
                let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                let meanings = choices.iter().filter_map(|choice| {
                    let meaning = choice["meaning"].as_str().filter(|meaning| !meaning.is_empty())?;
                    Some(format!("{}: {meaning}", choice["value"].as_str()?))
                });
                for meaning in meanings {
                    let _ = write!(help, "; {meaning}");
                }
                (format!("{default:?}"), format!("Literal[{}]", quoted.join(", ")))
            }
            None => {
                if let Some(described) = values["described"].as_str() {
                    let _ = write!(help, "; {described}");
                }
                match default {
                    "none" => ("None".into(), "float | str | None".into()),
                    whole if whole.parse::<i64>().is_ok() => (whole.into(), "int".into()),
                    number if number.parse::<f64>().is_ok() => (number.into(), "float".into()),
                    text => (format!("{text:?}"), "float | str".into()),
                }
            }
        };
        Ok(Self { key: key.into(), default, kind, help })
    }
}

fn capitals(id: &str) -> String {
    let part = |part: &str| {
        let mut letters = part.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    id.split('-').map(part).collect()
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is a first line");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(word.to_owned());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

const MARK: &str = "# Written by `cargo xtask python` from the catalogue of strategies: change it there.\n";

fn quoted(names: impl Iterator<Item = String>) -> String {
    names.map(|name| format!("    {name:?},\n")).collect()
}

const SOURCE_BEGINS: &str = r#""""The query methods as classes, one for each strategy; they are called as scikit-activeml's."""

"#;

const SOURCE_IMPORTS: &str = "
from __future__ import annotations

from typing import Literal

from ._query import CommitteeMethod, DesignMethod, ModelMethod, PoolMethod

__all__ = [
";

const STUB_IMPORTS: &str = "
from typing import Literal

from ._query import CommitteeMethod, DesignMethod, ModelMethod, PoolMethod

__all__ = [
";

fn source(classes: &[Class]) -> String {
    let names = quoted(sorted(classes).map(|class| class.name.clone()));
    let bodies: String = classes.iter().map(Class::source).collect();
    format!("{SOURCE_BEGINS}{MARK}{SOURCE_IMPORTS}{names}]\n{bodies}")
}

fn sorted(classes: &[Class]) -> impl Iterator<Item = &Class> {
    let mut all: Vec<&Class> = classes.iter().collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all.into_iter()
}

fn stub(classes: &[Class]) -> String {
    let names = quoted(sorted(classes).map(|class| class.name.clone()));
    let bodies: String = classes.iter().map(Class::stub).collect();
    format!("{MARK}{STUB_IMPORTS}{names}]\n{bodies}")
}

impl Class {
    fn init(&self, end: &str) -> String {
        let mut text = "    def __init__(\n        self,\n        *,\n".to_owned();
        for Setting { key, default, kind, .. } in &self.settings {
            let _ = writeln!(text, "        {key}: {kind} = {default},");
        }
        text + "        random_state: int = 0,\n    ) -> None:" + end
    }

    fn source(&self) -> String {
        let mut text = format!("\n\nclass {}({}):\n    \"\"\"", self.name, self.base);
        text += &self.lines.join("\n    ").replace("\n    \n", "\n\n");
        text += "\n\n    Parameters\n    ----------\n";
        for Setting { key, kind, help, .. } in &self.settings {
            let _ = writeln!(text, "    {key} : {kind}");
            for line in wrapped(help) {
                let _ = writeln!(text, "        {line}");
            }
        }
        text += "    random_state : int\n        Seed of what is drawn at random.\n    \"\"\"\n\n";
        let _ = writeln!(text, "    _method = {:?}", self.id);
        let keys: Vec<String> = self.settings.iter().map(|setting| format!("{:?}", setting.key)).collect();
        let comma = if keys.len() == 1 { "," } else { "" };
        let _ = writeln!(text, "    _settings = ({}{comma})\n", keys.join(", "));
        text += &self.init("\n");
        for Setting { key, .. } in &self.settings {
            let _ = writeln!(text, "        self.{key} = {key}");
        }
        text + "        self.random_state = random_state\n"
    }

    fn stub(&self) -> String {
        let mut text = format!("\nclass {}({}):\n", self.name, self.base);
        for Setting { key, kind, .. } in &self.settings {
            let _ = writeln!(text, "    {key}: {kind}");
        }
        text + &self.init(" ...\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn card() -> Value {
        json!({
            "id": "two-words", "title": "A title", "formula": "f", "source": "s",
            "needs": {"mean": false, "uncertainty": true, "dropout": null},
            "defaults": {"scale": "minmax", "n": "10", "left_out": "none"},
            "settings": [
                {"key": "scale", "help": "how", "values": {"one-of": [
                    {"value": "minmax", "meaning": "to [0, 1]"}, {"value": "raw", "meaning": ""}]}},
                {"key": "n", "help": "how many", "values": {"described": "a whole number"}},
                {"key": "left_out", "help": "what", "values": {"described": "a number"}},
            ],
        })
    }

    #[test]
    fn a_card_becomes_a_class_with_typed_settings_and_what_it_needs() {
        let class = Class::of(&card()).unwrap();
        assert_eq!(class.name, "TwoWords");
        let source = class.source();
        for part in [
            "scale: Literal[\"minmax\", \"raw\"] = \"minmax\",",
            "n: int = 10,",
            "left_out: float | str | None = None,",
            "class TwoWords(CommitteeMethod):",
            "_settings = (\"scale\", \"n\", \"left_out\")",
            "how; minmax: to [0, 1]",
        ] {
            assert!(source.contains(part), "{part} in\n{source}");
        }
        let mut trained = card();
        trained["needs"]["dropout"] = json!({"rate": 0.5});
        assert!(Class::of(&trained).unwrap().source().contains("(ModelMethod):"));
        trained["defaults"] = json!({});
        assert!(Class::of(&trained).is_err());
    }

    #[test]
    fn lines_are_wrapped_between_words() {
        let lines = wrapped(&"word ".repeat(60));
        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= WIDTH && !line.ends_with(' ')));
    }
}
