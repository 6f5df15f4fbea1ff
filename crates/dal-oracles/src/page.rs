//! The page that documents the built-in problems, made from their cards.

use std::fmt::Write;

use dal_core::model::{power, widths};

use crate::card::{Card, Knowledge, SettingValues};
use crate::catalogue::catalogue;

/// `docs/catalogue.md` in Markdown, made from every card; `cargo run -p dal-oracles --example catalogue` prints it, and
/// a test holds the file against it.
pub fn catalogue_page() -> String {
    let mut page = "# The built-in problems\n\nMade from the problems' cards by `cargo run -p dal-oracles --example catalogue`; \
                    `dal problems` shows the same. Inputs\nx_0, x_1, .. live on [-1, 1]; -1 and +1 stand for the physical \
                    values given. Difficulty is over the 4 000 test points:\nthe variance of the outputs (averaged over \
                    them), and the error of predicting the mean of the 80 initial labels.\n\
                    The table has the published networks and trainings; where a card says that the preset `tuned` is the \
                    default,\na sweep that names no preset takes that.\n\n\
                    | id | inputs | outputs | hidden layers | learning rate | weight decay |\n|---|---|---|---|---|---|\n"
        .to_owned();
    for card in catalogue() {
        let (id, published) = (card.id, &card.published);
        let mark = if published.known == Knowledge::Recollected { " (recollected)" } else { "" };
        let row = format!(
            "| [`{id}`](#{id}) | {} | {} | {}{mark} | {} | {} |\n",
            card.inputs.len(),
            card.outputs.n,
            widths(&published.model.hidden),
            power(published.model.training.learning_rate),
            power(published.model.training.weight_decay)
        );
        page.push_str(&row);
    }
    for card in catalogue() {
        // Writing to a string cannot fail.
        let _ = write_card(&mut page, card);
    }
    page
}

fn write_card(page: &mut String, card: &Card) -> std::fmt::Result {
    writeln!(page, "\n## {}\n\n{}.\n\n    {}\n", card.id, card.title, card.formula)?;
    writeln!(page, "| input | name | unit | at -1 | at +1 |\n|---|---|---|---|---|")?;
    for (j, input) in card.inputs.iter().enumerate() {
        let whole = if input.integer { " (whole numbers)" } else { "" };
        writeln!(page, "| x_{j} | {}{whole} | {} | {} | {} |", input.name, input.unit, input.low, input.high)?;
    }
    let outputs = &card.outputs;
    let along = if outputs.along.is_empty() { String::new() } else { format!(", along {}", outputs.along) };
    writeln!(page, "\n- Outputs: {} × {} (unit: {}){along}.", outputs.n, outputs.name, outputs.unit)?;
    for setting in card.settings {
        match setting.values {
            SettingValues::OneOf(choices) => {
                let listed = choices.iter().map(|choice| format!("`{}` ({})", choice.value, choice.meaning));
                writeln!(
                    page,
                    "- Setting `{}`: {}: {}.",
                    setting.key,
                    setting.help,
                    listed.collect::<Vec<_>>().join("; ")
                )?;
            }
            SettingValues::Described(_) | SettingValues::Path => {
                writeln!(page, "- Setting `{}`: {}; {}.", setting.key, setting.help, setting.values)?;
            }
        }
    }
    let published = &card.published;
    let known = match published.known {
        Knowledge::Published => "",
        Knowledge::Recollected => " (recollected from a table that is lost, not certain)",
    };
    let note = if published.note.is_empty() { String::new() } else { format!(" ({})", published.note) };
    writeln!(page, "- Network: {}{known}.", published.model)?;
    let training = &published.model.training;
    writeln!(page, "- Training: Adam, {} epochs, {} members{note}.", training.epochs, training.n_members)?;
    if let Some(tuned) = &card.tuned {
        writeln!(
            page,
            "- Preset `tuned`{}: {}.",
            if tuned.is_default { ", the default" } else { "" },
            tuned.sentence()
        )?;
    }
    for d in card.difficulty {
        let settings = if d.settings.is_empty() { String::new() } else { format!(" with `{}`", d.settings) };
        writeln!(
            page,
            "- Difficulty{settings}: variance {}, mean predictor {}.",
            d.output_variance, d.mean_predictor_mse
        )?;
    }
    writeln!(page, "- Source: {}.\n- Licence: {}.", card.source, card.licence)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_page_is_the_cards() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/catalogue.md");
        let committed = std::fs::read_to_string(file).unwrap();
        assert!(
            committed == super::catalogue_page(),
            "docs/catalogue.md differs from the cards: cargo run -p dal-oracles --example catalogue > docs/catalogue.md"
        );
    }
}
