//! Constraints on inputs as expressions over their names: `a * b <= 3`, `speed < 20 or blades >= 4`.
//!
//! ```text
//! or      = and { "or" and }
//! and     = not { "and" not }
//! not     = "not" not | compare
//! compare = sum [ ("<" | "<=" | ">" | ">=" | "==" | "!=") sum ]
//! sum     = product { ("+" | "-") product }
//! product = sign { ("*" | "/") sign }
//! sign    = "-" sign | power
//! power   = atom [ ("^" | "**") sign ]
//! atom    = number | name | "text" | function "(" or { "," or } ")" | "(" or ")"
//! ```
//!
//! A name that is no plain word stands in backticks: `` `inner radius` ``. Functions: `abs`, `sqrt`, `exp`, `log`
//! (natural), `log10`, `sin`, `cos`, `min`, `max`. Levels are compared with text: `material == "steel"`.

use std::fmt;

use thiserror::Error;

use crate::words::Cell;

/// How deep an expression may be nested.
const DEEPEST: usize = 60;

/// An expression that is no constraint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("constraint `{text}`: {problem}{}", at.map(|at| format!(" (at character {at})")).unwrap_or_default())]
pub struct ConstraintError {
    /// The expression.
    pub text: String,
    /// The 1-based character where it stops making sense, if there is one.
    pub at: Option<usize>,
    /// What is wrong and what to do.
    pub problem: String,
}

/// A condition that points have to meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    text: String,
    expression: Expression,
}

#[derive(Clone, Debug, PartialEq)]
enum Expression {
    Number(f64),
    Text(String),
    Input(usize),
    Negative(Box<Expression>),
    Not(Box<Expression>),
    Both(Operator, Box<Expression>, Box<Expression>),
    Call(Function, Vec<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    Equal,
    Unequal,
    Plus,
    Minus,
    Times,
    Over,
    Power,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Abs,
    Sqrt,
    Exp,
    Log,
    Log10,
    Sin,
    Cos,
    Min,
    Max,
}

/// What an expression is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Truth,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "a number",
            Self::Text => "a level",
            Self::Truth => "a condition",
        })
    }
}

/// What an expression says of a point.
#[derive(Clone, Debug, PartialEq)]
enum Said<'a> {
    Number(f64),
    Text(&'a str),
    Truth(bool),
}

impl Constraint {
    /// Reads an expression over inputs of these names; levels are those of each input, none of a number.
    ///
    /// ```
    /// use dal_campaign::constraints::Constraint;
    /// use dal_campaign::words::Cell;
    /// let names = ["speed".to_owned(), "blades".to_owned()];
    /// let constraint = Constraint::parse("speed < 20 or blades >= 4", &names, &[vec![], vec![]])?;
    /// assert!(constraint.holds(&[Cell::Number(30.0), Cell::Number(4.0)]));
    /// assert!(!constraint.holds(&[Cell::Number(30.0), Cell::Number(3.0)]));
    /// # Ok::<(), dal_campaign::constraints::ConstraintError>(())
    /// ```
    ///
    /// # Errors
    /// An expression that cannot be read, a name that no input has, a level that its input has not, an expression that
    /// is no condition.
    pub fn parse(text: &str, names: &[String], levels: &[Vec<String>]) -> Result<Self, ConstraintError> {
        let fault = |(at, problem): (Option<usize>, String)| ConstraintError { text: text.into(), at, problem };
        let tokens = tokens(text).map_err(fault)?;
        let mut parser = Parser { tokens: &tokens, next: 0, names, depth: 0, end: text.chars().count() + 1 };
        let expression = parser.or().map_err(fault)?;
        if let Some((at, token)) = parser.peek() {
            return Err(fault((Some(at), format!("`{token}` does not belong here"))));
        }
        match kind(&expression, levels).and_then(|kind| check_levels(&expression, levels).map(|()| kind)) {
            Ok(Kind::Truth) => Ok(Self { text: text.into(), expression }),
            Ok(other) => Err(fault((None, format!("it is {other}; compare it with something, as in `a * b <= 3`")))),
            Err(problem) => Err(fault((None, problem))),
        }
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a point of these values, in the order of the inputs, meets it. A comparison with what is no number (a
    /// root of a negative value, a division by zero of zero) is not met.
    pub fn holds(&self, cells: &[Cell]) -> bool {
        said(&self.expression, cells) == Some(Said::Truth(true))
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(f64),
    Text(String),
    Name(String),
    /// In backticks: never a word of the language.
    Quoted(String),
    Sign(&'static str),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(v) => write!(f, "{v}"),
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::Name(name) | Self::Quoted(name) => f.write_str(name),
            Self::Sign(sign) => f.write_str(sign),
        }
    }
}

type Fault = (Option<usize>, String);

/// Signs, those that others begin with last.
const SIGNS: &[&str] =
    &["<=", ">=", "==", "!=", "**", "<", ">", "=", "+", "-", "*", "/", "^", "(", ")", ",", "&&", "||"];

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Fault> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let (c, place) = (characters[at], at + 1);
        let rest = &characters[at..];
        let run = |keep: &dyn Fn(usize, char) -> bool| {
            rest.iter().enumerate().take_while(|(i, c)| keep(*i, **c)).map(|(_, c)| *c).collect::<String>()
        };
        if c.is_whitespace() {
            at += 1;
        } else if c.is_ascii_digit() || (c == '.' && rest.get(1).is_some_and(char::is_ascii_digit)) {
            let number = run(&|i, c| {
                c.is_ascii_digit()
                    || c == '.'
                    || matches!(c, 'e' | 'E')
                    || (matches!(c, '+' | '-') && matches!(rest[i.max(1) - 1], 'e' | 'E'))
            });
            let value: f64 = number.parse().map_err(|_| (Some(place), format!("`{number}` is no number")))?;
            at += number.chars().count();
            tokens.push((place, Token::Number(value)));
        } else if matches!(c, '"' | '\'' | '`') {
            let inner = run(&|i, other| i == 0 || other != c);
            let length = inner.chars().count();
            if length == rest.len() {
                return Err((Some(place), format!("the {c} that begins here has no end")));
            }
            let inner = inner.chars().skip(1).collect();
            at += length + 1;
            tokens.push((place, if c == '`' { Token::Quoted(inner) } else { Token::Text(inner) }));
        } else if c.is_alphabetic() || c == '_' {
            let name = run(&|_, c| c.is_alphanumeric() || c == '_');
            at += name.chars().count();
            tokens.push((place, Token::Name(name)));
        } else {
            let sign = SIGNS.iter().find(|sign| sign.chars().eq(rest.iter().copied().take(sign.chars().count())));
            match sign {
                Some(&"=") => return Err((Some(place), "write == for equal".into())),
                Some(&"&&") => return Err((Some(place), "write `and`".into())),
                Some(&"||") => return Err((Some(place), "write `or`".into())),
                Some(sign) => {
                    at += sign.chars().count();
                    tokens.push((place, Token::Sign(sign)));
                }
                None => return Err((Some(place), format!("`{c}` means nothing here"))),
            }
        }
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    next: usize,
    names: &'a [String],
    depth: usize,
    /// Where the text ends.
    end: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<(usize, &Token)> {
        self.tokens.get(self.next).map(|(at, token)| (*at, token))
    }

    /// Takes one of these signs or words, if it is next.
    fn take<'s>(&mut self, wanted: &[&'s str]) -> Option<&'s str> {
        let found = match self.peek() {
            Some((_, Token::Sign(sign))) => wanted.iter().find(|wanted| *wanted == sign),
            // An input of that name stands in backticks.
            Some((_, Token::Name(word))) => wanted.iter().find(|wanted| *wanted == word),
            _ => None,
        };
        self.next += usize::from(found.is_some());
        found.copied()
    }

    fn due(&self, what: &str) -> Fault {
        match self.peek() {
            Some((at, token)) => (Some(at), format!("{what} is due, not `{token}`")),
            None => (Some(self.end), format!("{what} is due at its end")),
        }
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err((self.peek().map(|(at, _)| at), "it is nested too deeply".into()));
        }
        let outcome = inner(self);
        self.depth -= 1;
        outcome
    }

    /// Operators of one rank, from left to right.
    fn chain(
        &mut self,
        operators: &[(&str, Operator)],
        below: fn(&mut Self) -> Result<Expression, Fault>,
    ) -> Result<Expression, Fault> {
        let words: Vec<&str> = operators.iter().map(|(word, _)| *word).collect();
        let mut left = below(self)?;
        while let Some(found) = self.take(&words) {
            let operator = operators.iter().find(|(word, _)| *word == found).map_or(Operator::And, |(_, o)| *o);
            // A chain is as deep as it is long, and stays so.
            left = self.deeper(|parser| Ok(Expression::Both(operator, Box::new(left), Box::new(below(parser)?))))?;
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err((self.peek().map(|(at, _)| at), "it is too long; make several constraints of it".into()));
            }
        }
        Ok(left)
    }

    fn or(&mut self) -> Result<Expression, Fault> {
        self.chain(&[("or", Operator::Or)], Self::and)
    }

    fn and(&mut self) -> Result<Expression, Fault> {
        self.chain(&[("and", Operator::And)], Self::not)
    }

    fn not(&mut self) -> Result<Expression, Fault> {
        match self.take(&["not"]) {
            Some(_) => self.deeper(|parser| Ok(Expression::Not(Box::new(parser.not()?)))),
            None => self.compare(),
        }
    }

    fn compare(&mut self) -> Result<Expression, Fault> {
        let left = self.sum()?;
        let operators = [
            ("<=", Operator::LessOrEqual),
            (">=", Operator::MoreOrEqual),
            ("==", Operator::Equal),
            ("!=", Operator::Unequal),
            ("<", Operator::Less),
            (">", Operator::More),
        ];
        let words = operators.map(|(word, _)| word);
        let Some(found) = self.take(&words) else { return Ok(left) };
        let operator = operators.iter().find(|(word, _)| *word == found).map_or(Operator::Equal, |(_, o)| *o);
        let both = Expression::Both(operator, Box::new(left), Box::new(self.sum()?));
        if self.take(&words).is_some() {
            self.next -= 1;
            return Err(self.due("`and` between two comparisons"));
        }
        Ok(both)
    }

    fn sum(&mut self) -> Result<Expression, Fault> {
        self.chain(&[("+", Operator::Plus), ("-", Operator::Minus)], Self::product)
    }

    fn product(&mut self) -> Result<Expression, Fault> {
        self.chain(&[("*", Operator::Times), ("/", Operator::Over)], Self::sign)
    }

    fn sign(&mut self) -> Result<Expression, Fault> {
        match self.take(&["-"]) {
            Some(_) => self.deeper(|parser| Ok(Expression::Negative(Box::new(parser.sign()?)))),
            None => self.power(),
        }
    }

    fn power(&mut self) -> Result<Expression, Fault> {
        let base = self.atom()?;
        match self.take(&["^", "**"]) {
            Some(_) => {
                self.deeper(|parser| Ok(Expression::Both(Operator::Power, Box::new(base), Box::new(parser.sign()?))))
            }
            None => Ok(base),
        }
    }

    fn atom(&mut self) -> Result<Expression, Fault> {
        if self.take(&["("]).is_some() {
            let inner = self.deeper(Self::or)?;
            return if self.take(&[")"]).is_some() { Ok(inner) } else { Err(self.due("`)`")) };
        }
        let Some((at, token)) = self.peek().map(|(at, token)| (at, token.clone())) else {
            return Err(self.due("a number or a name"));
        };
        let unknown = |name: &str, names: &[String]| {
            (Some(at), format!("there is no input `{name}`; there are: {}", names.join(", ")))
        };
        let place = |name: &str, names: &[String]| names.iter().position(|known| known == name);
        match token {
            Token::Number(v) => {
                self.next += 1;
                Ok(Expression::Number(v))
            }
            Token::Text(text) => {
                self.next += 1;
                Ok(Expression::Text(text))
            }
            Token::Quoted(name) => {
                self.next += 1;
                place(&name, self.names).map(Expression::Input).ok_or_else(|| unknown(&name, self.names))
            }
            Token::Name(name) => {
                self.next += 1;
                let called = matches!(self.peek(), Some((_, Token::Sign("("))));
                match (place(&name, self.names), called) {
                    (Some(input), false) => Ok(Expression::Input(input)),
                    (_, true) => self.call(at, &name),
                    (None, false) => Err(unknown(&name, self.names)),
                }
            }
            Token::Sign(_) => Err(self.due("a number or a name")),
        }
    }

    fn call(&mut self, at: usize, name: &str) -> Result<Expression, Fault> {
        let functions = [
            ("abs", Function::Abs),
            ("sqrt", Function::Sqrt),
            ("exp", Function::Exp),
            ("log", Function::Log),
            ("log10", Function::Log10),
            ("sin", Function::Sin),
            ("cos", Function::Cos),
            ("min", Function::Min),
            ("max", Function::Max),
        ];
        let Some((_, function)) = functions.iter().find(|(known, _)| *known == name) else {
            let known = functions.map(|(known, _)| known).join(", ");
            return Err((Some(at), format!("there is no function `{name}`; there are: {known}")));
        };
        self.take(&["("]);
        let mut arguments = vec![self.deeper(Self::or)?];
        while self.take(&[","]).is_some() {
            arguments.push(self.deeper(Self::or)?);
        }
        if self.take(&[")"]).is_none() {
            return Err(self.due("`)`"));
        }
        let many = matches!(function, Function::Min | Function::Max);
        if !many && arguments.len() != 1 {
            return Err((Some(at), format!("`{name}` takes one number")));
        }
        Ok(Expression::Call(*function, arguments))
    }
}

/// What an expression is, or why it makes no sense.
fn kind(expression: &Expression, levels: &[Vec<String>]) -> Result<Kind, String> {
    use Operator::{And, Equal, Less, LessOrEqual, Minus, More, MoreOrEqual, Or, Over, Plus, Power, Times, Unequal};
    let wanted = |expression: &Expression, wanted: Kind| match kind(expression, levels)? {
        found if found == wanted => Ok(()),
        found => Err(format!("there is {found} where {wanted} is due")),
    };
    match expression {
        Expression::Number(_) => Ok(Kind::Number),
        Expression::Text(_) => Ok(Kind::Text),
        Expression::Input(input) => Ok(if levels[*input].is_empty() { Kind::Number } else { Kind::Text }),
        Expression::Negative(inner) => wanted(inner, Kind::Number).map(|()| Kind::Number),
        Expression::Not(inner) => wanted(inner, Kind::Truth).map(|()| Kind::Truth),
        Expression::Both(operator, left, right) => match operator {
            Or | And => wanted(left, Kind::Truth).and_then(|()| wanted(right, Kind::Truth)).map(|()| Kind::Truth),
            Equal | Unequal => {
                let of = kind(left, levels)?;
                wanted(right, of).map(|()| Kind::Truth)
            }
            Less | LessOrEqual | More | MoreOrEqual => {
                wanted(left, Kind::Number).and_then(|()| wanted(right, Kind::Number)).map(|()| Kind::Truth)
            }
            Plus | Minus | Times | Over | Power => {
                wanted(left, Kind::Number).and_then(|()| wanted(right, Kind::Number)).map(|()| Kind::Number)
            }
        },
        Expression::Call(_, arguments) => {
            arguments.iter().try_for_each(|argument| wanted(argument, Kind::Number)).map(|()| Kind::Number)
        }
    }
}

/// A text that is compared with an input must be one of its levels.
fn check_levels(expression: &Expression, levels: &[Vec<String>]) -> Result<(), String> {
    match expression {
        Expression::Number(_) | Expression::Text(_) | Expression::Input(_) => Ok(()),
        Expression::Negative(inner) | Expression::Not(inner) => check_levels(inner, levels),
        Expression::Call(_, arguments) => arguments.iter().try_for_each(|argument| check_levels(argument, levels)),
        Expression::Both(_, left, right) => match (&**left, &**right) {
            (Expression::Input(input), Expression::Text(text)) | (Expression::Text(text), Expression::Input(input))
                if !levels[*input].contains(text) =>
            {
                Err(format!("`{text}` is none of the levels {}", levels[*input].join(", ")))
            }
            _ => check_levels(left, levels).and_then(|()| check_levels(right, levels)),
        },
    }
}

/// What an expression says of a point; none where the point has another kind of value than the expression was read for.
fn said<'a>(expression: &'a Expression, cells: &'a [Cell]) -> Option<Said<'a>> {
    let number = |expression: &'a Expression| match said(expression, cells)? {
        Said::Number(v) => Some(v),
        _ => None,
    };
    let truth = |expression: &'a Expression| match said(expression, cells)? {
        Said::Truth(holds) => Some(holds),
        _ => None,
    };
    Some(match expression {
        Expression::Number(v) => Said::Number(*v),
        Expression::Text(text) => Said::Text(text),
        Expression::Input(input) => match cells.get(*input)? {
            Cell::Number(v) => Said::Number(*v),
            Cell::Level(level) => Said::Text(level),
        },
        Expression::Negative(inner) => Said::Number(-number(inner)?),
        Expression::Not(inner) => Said::Truth(!truth(inner)?),
        Expression::Both(operator, left, right) => match operator {
            Operator::Or => Said::Truth(truth(left)? || truth(right)?),
            Operator::And => Said::Truth(truth(left)? && truth(right)?),
            Operator::Equal => Said::Truth(said(left, cells)? == said(right, cells)?),
            Operator::Unequal => match (said(left, cells)?, said(right, cells)?) {
                // NaN differs from nothing and equals nothing.
                (Said::Number(a), Said::Number(b)) => Said::Truth(a.partial_cmp(&b).is_some_and(|order| order.is_ne())),
                (a, b) => Said::Truth(a != b),
            },
            Operator::Less => Said::Truth(number(left)? < number(right)?),
            Operator::LessOrEqual => Said::Truth(number(left)? <= number(right)?),
            Operator::More => Said::Truth(number(left)? > number(right)?),
            Operator::MoreOrEqual => Said::Truth(number(left)? >= number(right)?),
            Operator::Plus => Said::Number(number(left)? + number(right)?),
            Operator::Minus => Said::Number(number(left)? - number(right)?),
            Operator::Times => Said::Number(number(left)? * number(right)?),
            Operator::Over => Said::Number(number(left)? / number(right)?),
            Operator::Power => Said::Number(number(left)?.powf(number(right)?)),
        },
        Expression::Call(function, arguments) => {
            let values: Vec<f64> = arguments.iter().map(number).collect::<Option<_>>()?;
            let first = *values.first()?;
            Said::Number(match function {
                Function::Abs => first.abs(),
                Function::Sqrt => first.sqrt(),
                Function::Exp => first.exp(),
                Function::Log => first.ln(),
                Function::Log10 => first.log10(),
                Function::Sin => first.sin(),
                Function::Cos => first.cos(),
                Function::Min => values.iter().copied().fold(first, f64::min),
                Function::Max => values.iter().copied().fold(first, f64::max),
            })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> ([String; 4], [Vec<String>; 4]) {
        let names = ["a", "b", "material", "inner radius"].map(str::to_owned);
        (names, [vec![], vec![], vec!["steel".into(), "wood".into()], vec![]])
    }

    fn parse(text: &str) -> Result<Constraint, ConstraintError> {
        let (names, levels) = names();
        Constraint::parse(text, &names, &levels)
    }

    fn holds(text: &str, a: f64, b: f64, material: &str) -> bool {
        let point = [Cell::Number(a), Cell::Number(b), Cell::Level(material.into()), Cell::Number(7.0)];
        parse(text).unwrap().holds(&point)
    }

    #[test]
    fn ranks_are_those_of_arithmetic() {
        for (text, expected) in [
            ("a * b <= 6", true),
            ("a + b * 2 == 8", true),
            ("(a + b) * 2 == 10", true),
            ("2 ^ b ^ 1 == 8", true),
            ("-a ^ 2 == -4", true),
            ("2 ** -1 == 0.5", true),
            ("a - b - 1 == -2", true),
            ("8 / a / 2 == 2", true),
            ("a > 5 or b >= 3 and a < 1", false),
            ("(a > 5 or b >= 3) and a < 3", true),
            ("not a > 5 and not b == 2", true),
            ("min(a, b, 1.5e0) == 1.5 and max(a, b) == 3", true),
            ("sqrt(a + 2) == abs(-2) and log(exp(1)) > 0.99", true),
            ("log10(1e2) == 2 and sin(0) == 0 and cos(0) == 1", true),
            ("material == 'steel' and \"wood\" != material", true),
            ("`inner radius` >= 7 and .5 < 1", true),
            ("sqrt(-a) < 1 or sqrt(-a) >= 1", false),
            ("sqrt(-a) != 1", false),
            ("0 / 0 == 0 / 0", false),
        ] {
            assert_eq!(holds(text, 2.0, 3.0, "steel"), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_placed() {
        for (text, at, words) in [
            ("a * c <= 3", Some(5), "there is no input `c`; there are: a, b, material, inner radius"),
            ("a * b", None, "it is a number"),
            ("a = 3", Some(3), "write =="),
            ("a < 3 && b < 2", Some(7), "write `and`"),
            ("1 < a < 3", Some(7), "`and` between two comparisons"),
            ("(a < 3", Some(7), "`)` is due at its end"),
            ("a < 3)", Some(6), "`)` does not belong here"),
            ("a < ", Some(5), "is due at its end"),
            ("a < tan(b)", Some(5), "there is no function `tan`"),
            ("a < sqrt(b, a)", Some(5), "takes one number"),
            ("material < 3", None, "there is a level where a number is due"),
            ("material == \"brass\"", None, "none of the levels steel, wood"),
            ("a < 3 or b", None, "there is a number where a condition is due"),
            ("\"steel", Some(1), "no end"),
            ("a # b", Some(3), "`#` means nothing"),
            ("1.2.3 < a", Some(1), "`1.2.3` is no number"),
            ("", Some(1), "is due"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.at == at && error.problem.contains(words), "{text}: {error}");
            assert!(error.to_string().contains(&format!("`{text}`")));
        }
        for deep in [format!("{}a{} < 1", "(".repeat(500), ")".repeat(500)), "not ".repeat(500), "1+".repeat(500)] {
            assert!(parse(&deep).is_err());
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[ab0-9.e+*/^<>=!&|()\"'` ,-]{0,40}|(a|b|not|and|or|<|\\(|\\)|1| ){0,30}") {
            if let Ok(constraint) = parse(&text) {
                let point = [Cell::Number(1.0), Cell::Number(2.0), Cell::Level("wood".into()), Cell::Number(0.0)];
                let _ = constraint.holds(&point);
                let _ = constraint.holds(&[]);
            }
        }

        /// Sums and products against a parser of the simplest kind: split at the last operator of the lowest rank.
        #[test]
        fn arithmetic_agrees_with_the_naive_way(text in "[0-9]([-+*/][0-9]){0,6}", bound in -20i32..20) {
            fn naive(text: &str) -> f64 {
                for signs in [['+', '-'], ['*', '/']] {
                    if let Some(at) = text.rfind(signs) {
                        let (left, right) = (naive(&text[..at]), naive(&text[at + 1..]));
                        return match &text[at..=at] {
                            "+" => left + right,
                            "-" => left - right,
                            "*" => left * right,
                            _ => left / right,
                        };
                    }
                }
                text.parse().unwrap()
            }
            prop_assert_eq!(holds(&format!("{text} < {bound}"), 0.0, 0.0, "wood"), naive(&text) < f64::from(bound));
        }
    }
}
