//! Canonical JSON: one byte sequence per value, so that a hash of it identifies the value.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

/// The value as JSON with object keys in ascending byte order, no white space, and numbers as Rust prints them
/// (`{:?}` of an f64: the shortest decimal that reads back the same).
///
/// # Errors
/// A value that is not representable, such as a map whose keys are not strings. NaN and infinities become `null`
/// (serde_json's rule): check them before.
pub fn canonical_json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    write(&serde_json::to_value(value)?, &mut text);
    Ok(text)
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => {
            // Integers print as integers; writing into a String cannot fail.
            let _ = match (n.as_u64(), n.as_i64(), n.as_f64()) {
                (Some(u), _, _) => write!(out, "{u}"),
                (_, Some(i), _) => write!(out, "{i}"),
                (_, _, Some(f)) => write!(out, "{f:?}"),
                _ => write!(out, "{n}"),
            };
        }
        Value::String(s) => quote(s, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            // Sorted here, because a feature of serde_json that any dependency may switch on keeps insertion order.
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
            out.push('{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                quote(key, out);
                out.push(':');
                write(item, out);
            }
            out.push('}');
        }
    }
}

/// A text as JSON. Most need no escape, and the plan of a large sweep writes millions of them.
fn quote(text: &str, out: &mut String) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&Value::from(text).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_and_numbers_are_fixed() {
        let value = json!({"b": [1e-5, 1.0, -0.0, 1e16, 0.1, 500, -3], "a": {"z": null, "é": "q\"\n", "A": true}});
        assert_eq!(
            canonical_json(&value).unwrap(),
            r#"{"a":{"A":true,"z":null,"é":"q\"\n"},"b":[1e-5,1.0,-0.0,1e16,0.1,500,-3]}"#
        );
    }

    proptest! {
        #[test]
        fn floats_read_back_the_same(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let text = canonical_json(&value).unwrap();
            prop_assert_eq!(serde_json::from_str::<f64>(&text).unwrap().to_bits(), bits);
        }
    }
}
