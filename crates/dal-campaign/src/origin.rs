//! Which program wrote a table, by the columns that stand in it together: a single name says nothing, because
//! laboratories measure distances and number parts, too.

use dal_core::LabelFailureKind;
use dal_files::names::canonical;
use dal_files::write::unguarded;

use crate::words::{Answer, Failure, may_be_the_machines};

/// Who wrote a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// As it is told.
    pub(crate) name: &'static str,
    /// The columns that all such tables have.
    always: &'static [&'static str],
    /// Those that some have.
    sometimes: &'static [&'static str],
}

/// The tables that are known.
const KNOWN: [Origin; 4] = [
    Origin { name: "dal export", always: &["id", "state", "round", "probability", "part"], sometimes: &[] },
    Origin {
        name: "dal ask",
        always: &["id", "score", "disagreement", "distance", "probability"],
        sometimes: &["part"],
    },
    Origin { name: "dal label", always: &["row", FAILURE], sometimes: &[] },
    Origin { name: "Dakota", always: &["eval_id"], sometimes: &["interface"] },
];

/// The column in which `dal label --out` says why a row has no label.
pub(crate) const FAILURE: &str = "failure";

impl Origin {
    /// Of a table with these columns; none where it is a table of the user's own.
    pub(crate) fn of(names: &[String]) -> Option<Self> {
        let has = |column: &&str| names.iter().any(|name| canonical(name) == *column);
        KNOWN.into_iter().find(|origin| origin.always.iter().all(has))
    }

    /// Whether a column is its writer's, and no part of a problem.
    pub(crate) fn owns(&self, name: &str) -> bool {
        let name = canonical(name);
        self.always.iter().chain(self.sometimes).any(|own| *own == name)
    }

    /// Whether it may have a column that says why rows have no label.
    pub(crate) fn says_failures(&self) -> bool {
        self.owns(FAILURE)
    }
}

/// What `KIND: words` of a column of failures says; none where it is another text.
pub(crate) fn failure(text: &str) -> Option<Answer> {
    let text = unguarded(text.trim()).trim();
    let (kind, words) = text.split_once(':').unwrap_or((text, ""));
    let kind = LabelFailureKind::of_id(kind.trim())?;
    let failure = Failure { kind: kind.id().into(), words: words.trim().to_owned() };
    Some(if may_be_the_machines(kind) { Answer::Lost(failure) } else { Answer::Failed(failure) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &str) -> Option<&'static str> {
        let names: Vec<String> = header.split(',').map(str::to_owned).collect();
        Origin::of(&names).map(|origin| origin.name)
    }

    #[test]
    fn a_table_is_known_by_all_its_columns_and_by_none_alone() {
        for (header, origin) in [
            ("id,a,b,y,state,round,probability,part", Some("dal export")),
            ("part,probability,round,state,y,a,id", Some("dal export")),
            ("id,a,score,disagreement,distance,probability,y", Some("dal ask")),
            ("row,a,y,failure", Some("dal label")),
            ("eval_id,interface,x1,y1", Some("Dakota")),
            ("distance,angle,y", None),
            ("id,part,round,state,y", None),
            ("row,a,y", None),
            ("a,failure", None),
            ("interface,a,y", None),
        ] {
            assert_eq!(of(header), origin, "{header}");
        }
        let ask = KNOWN[1];
        assert!(ask.owns("part") && ask.owns(" distance") && !ask.owns("state") && !ask.owns("angle"));
    }

    #[test]
    fn failures_are_the_points_or_the_machines() {
        let words = |answer: Option<Answer>| match answer {
            Some(Answer::Failed(failure)) => format!("failed {failure}"),
            Some(Answer::Lost(failure)) => format!("lost {failure}"),
            Some(Answer::Values(_)) | None => "none".into(),
        };
        for (text, said) in [
            ("refused: the program answered `error: too big`", "failed refused: the program answered `error: too big`"),
            (" out-of-domain: y is 0 ", "failed out-of-domain: y is 0"),
            ("crashed: status 1", "lost crashed: status 1"),
            ("timed-out", "lost timed-out"),
            ("seal broke", "none"),
            ("", "none"),
        ] {
            assert_eq!(words(failure(text)), said, "{text}");
        }
    }
}
