//! The parameters file of an evaluation, as Dakota writes it.

use dal_core::Dimension;

use super::Format;
use crate::user::inputs::Inputs;

/// The text of a parameters file: variables, one function value wanted of each output, no derivatives, no components,
/// and the evaluation's number.
pub(super) fn text(format: Format, inputs: &Inputs, outputs: &[String], values: &[String], number: u64) -> String {
    let continuous: Vec<(usize, &String)> = inputs
        .names()
        .iter()
        .zip(inputs.space().dimensions())
        .enumerate()
        .filter(|(_, (_, dimension))| matches!(dimension, Dimension::Continuous { .. }))
        .map(|(place, (name, _))| (place + 1, name))
        .collect();
    let variables = inputs.names().iter().zip(values).zip(inputs.levels());
    let mut text = String::new();
    match format {
        Format::Standard => {
            let mut line = |value: &str, tag: &str| text += &format!("{value:>21} {tag}\n");
            let mut count = |n: usize, what: &str| line(&n.to_string(), what);
            count(inputs.names().len(), "variables");
            for ((name, value), _) in variables {
                line(value, name);
            }
            let mut count = |n: usize, what: &str| line(&n.to_string(), what);
            count(outputs.len(), "functions");
            for (k, name) in outputs.iter().enumerate() {
                count(1, &format!("ASV_{}:{name}", k + 1));
            }
            count(continuous.len(), "derivative_variables");
            for (k, (place, name)) in continuous.iter().enumerate() {
                count(*place, &format!("DVV_{}:{name}", k + 1));
            }
            count(0, "analysis_components");
            line(&number.to_string(), "eval_id");
        }
        Format::Aprepro => {
            let mut line = |tag: &str, value: &str| text += &format!("{:>20}{{ {tag} = {value} }}\n", "");
            line("DAKOTA_VARS", &inputs.names().len().to_string());
            for ((name, value), levels) in variables {
                let value = if levels.is_empty() { value.clone() } else { format!("\"{value}\"") };
                line(name, &value);
            }
            line("DAKOTA_FNS", &outputs.len().to_string());
            for (k, name) in outputs.iter().enumerate() {
                line(&format!("ASV_{}:{name}", k + 1), "1");
            }
            line("DAKOTA_DER_VARS", &continuous.len().to_string());
            for (k, (place, name)) in continuous.iter().enumerate() {
                line(&format!("DVV_{}:{name}", k + 1), &place.to_string());
            }
            line("DAKOTA_AN_COMPS", "0");
            line("DAKOTA_EVAL_ID", &number.to_string());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use dal_core::Scale;

    #[test]
    fn both_forms_say_the_same() {
        let levels = ["steel", "wood"].map(str::to_owned).to_vec();
        let inputs = Inputs::new(vec![
            ("x1".into(), vec![], Dimension::Continuous { low: 0.0, high: 9.0, scale: Scale::Linear }),
            ("n".into(), vec![], Dimension::Integer { low: 0, high: 9, scale: Scale::Linear }),
            ("mat".into(), levels, Dimension::Categorical { n_levels: 2 }),
            ("x4".into(), vec![], Dimension::Continuous { low: 0.0, high: 9.0, scale: Scale::Linear }),
        ])
        .unwrap();
        let of = |format| {
            let values = ["1.5", "3", "steel", "0.25"].map(str::to_owned);
            let text = text(format, &inputs, &["f".into(), "g".into()], &values, 7);
            text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            of(Format::Standard),
            [
                "4 variables",
                "1.5 x1",
                "3 n",
                "steel mat",
                "0.25 x4",
                "2 functions",
                "1 ASV_1:f",
                "1 ASV_2:g",
                "2 derivative_variables",
                "1 DVV_1:x1",
                "4 DVV_2:x4",
                "0 analysis_components",
                "7 eval_id"
            ]
        );
        assert_eq!(
            of(Format::Aprepro),
            [
                "{ DAKOTA_VARS = 4 }",
                "{ x1 = 1.5 }",
                "{ n = 3 }",
                "{ mat = \"steel\" }",
                "{ x4 = 0.25 }",
                "{ DAKOTA_FNS = 2 }",
                "{ ASV_1:f = 1 }",
                "{ ASV_2:g = 1 }",
                "{ DAKOTA_DER_VARS = 2 }",
                "{ DVV_1:x1 = 1 }",
                "{ DVV_2:x4 = 4 }",
                "{ DAKOTA_AN_COMPS = 0 }",
                "{ DAKOTA_EVAL_ID = 7 }"
            ]
        );
    }
}
