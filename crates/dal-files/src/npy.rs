//! NumPy arrays of any type that is a 64-bit float without loss; headers are checked against the file's size before
//! memory is asked for.

use std::io::Cursor;

use half::f16;
use ndarray::{Array2, Array3, ArrayD, Axis, Ix2, Ix3};
use ndarray_npy::{ReadNpyExt, ReadableElement};

use crate::error::{FileError, joined};
use crate::source::{Content, Source, kind};

/// Members' predictions, shape (members, points, outputs), from a NumPy array. With one output the last axis may be
/// missing; where the number of outputs is not known, the array says it.
///
/// # Errors
/// No NumPy array, another shape than (members, `n_points`, `n_outputs`), values that are no finite numbers or would
/// lose digits.
pub fn members(source: Source, n_points: usize, n_outputs: Option<usize>) -> Result<Array3<f64>, FileError> {
    let file = source.file().to_owned();
    let bytes = match source.content()? {
        Content::Npy(bytes) => bytes,
        Content::Text(_) => return Err(kind(&file, "is text, no NumPy array", "write the array with numpy.save")),
        Content::Parquet(_) => {
            return Err(kind(&file, "is a Parquet file, no NumPy array", "write the array with numpy.save"));
        }
    };
    let array = array(&file, &bytes)?;
    if let Some((place, value)) = array.indexed_iter().find(|(_, value)| !value.is_finite()) {
        let place = ndarray::Dimension::slice(&place).to_vec();
        return Err(kind(
            &file,
            format!("the value at [{}] is {value}", joined(&place)),
            "every prediction must be finite",
        ));
    }
    let found = array.shape().to_vec();
    let n_outputs = n_outputs.unwrap_or_else(|| found.get(2).copied().unwrap_or(1));
    let due = format!("(members, {n_points}, {n_outputs}), that is members, points, outputs,");
    let refuse = |remedy: &str| FileError::Shape {
        file: file.clone(),
        found: found.clone(),
        due: due.clone(),
        remedy: remedy.into(),
    };
    let members = match found[..] {
        [_, _, _] => array.into_dimensionality::<Ix3>().expect("three dimensions"),
        [_, points] if n_outputs == 1 && points == n_points => {
            array.into_dimensionality::<Ix2>().expect("two dimensions").insert_axis(Axis(2))
        }
        [points, _] if n_outputs == 1 && points == n_points => {
            return Err(refuse("; points come second: save m.T"));
        }
        [points, outputs] if points == n_points && outputs == n_outputs => {
            return Err(refuse("; of a single member save m[None, :, :]"));
        }
        [_, points] if n_outputs == 1 => {
            return Err(refuse(&format!("; it has predictions of {points} points where there are {n_points}")));
        }
        [_, _] => return Err(refuse("; where there is one output, save m[:, :, None]")),
        [points] if n_outputs == 1 && points == n_points => {
            return Err(refuse("; of a single member save m[None, :, None]"));
        }
        _ => return Err(refuse("")),
    };
    match *members.shape() {
        [n, points, outputs] if n > 0 && points == n_points && outputs == n_outputs => Ok(members),
        [points, _, outputs] if points == n_points && outputs == n_outputs => {
            Err(refuse("; members come first: save m.transpose(1, 0, 2)"))
        }
        [points, outputs, _] if points == n_points && outputs == n_outputs => {
            Err(refuse("; members come first: save m.transpose(2, 0, 1)"))
        }
        _ => Err(refuse("")),
    }
}

/// Rows of numbers: an array of two dimensions, or one column of an array of one.
pub(crate) fn matrix(file: &str, bytes: &[u8]) -> Result<Array2<f64>, FileError> {
    let array = array(file, bytes)?;
    let found = array.shape().to_vec();
    match found.len() {
        1 => Ok(array.insert_axis(Axis(1)).into_dimensionality().expect("two dimensions")),
        2 => Ok(array.into_dimensionality().expect("two dimensions")),
        _ => Err(FileError::Shape {
            file: file.to_owned(),
            found,
            due: "(rows, columns) or (rows)".into(),
            remedy: String::new(),
        }),
    }
}

/// What a header says.
struct Header {
    descr: String,
    shape: Vec<usize>,
    /// Where the numbers begin.
    data: usize,
}

/// The array as 64-bit floats.
fn array(file: &str, bytes: &[u8]) -> Result<ArrayD<f64>, FileError> {
    let damaged = |what: &str| FileError::Damaged { file: file.to_owned(), what: what.to_owned() };
    let header = header(bytes).ok_or_else(|| damaged("its header is none of a NumPy array of numbers"))?;
    let shown = &header.descr;
    let (order, code) = shown.split_at_checked(1).ok_or_else(|| damaged("its header names no type"))?;
    if !matches!(order, "<" | ">" | "|" | "=") {
        return Err(kind(file, "is an array of several fields", "save one plain array"));
    }
    let size: usize = match code {
        "b1" | "i1" | "u1" => 1,
        "f2" | "i2" | "u2" => 2,
        "f4" | "i4" | "u4" => 4,
        "f8" | "i8" | "u8" => 8,
        _ => {
            let what = match code.get(..1) {
                Some("c") => "complex numbers",
                Some("U" | "S") => "text",
                Some("O") => "Python objects",
                Some("M" | "m") => "dates or times",
                Some("f" | "g") => "floats of more than 64 bits",
                _ => "values of another type",
            };
            return Err(kind(file, format!("is an array of {what} ({shown})"), "save it with .astype(float)"));
        }
    };
    let n = header.shape.iter().try_fold(1_usize, |n, &size| n.checked_mul(size));
    let there = bytes.len() - header.data;
    if n.and_then(|n| n.checked_mul(size)) != Some(there) {
        let promised = header.shape.iter().fold(size as u128, |n, &size| n.saturating_mul(size as u128));
        return Err(damaged(&format!("its header promises {promised} bytes of numbers, the file has {there}")));
    }
    match code {
        "f8" => plain(file, bytes, |v: f64| Some(v)),
        "f4" => plain(file, bytes, |v: f32| Some(v.into())),
        "f2" => {
            // The reader knows no half precision: its bits come as whole numbers of the same size.
            let at = bytes[..header.data].windows(2).position(|pair| pair == b"f2").unwrap_or_default();
            let mut bits = bytes.to_vec();
            bits[at] = b'u';
            plain(file, &bits, |v: u16| Some(f16::from_bits(v).into()))
        }
        "i1" => plain(file, bytes, |v: i8| Some(v.into())),
        "u1" => plain(file, bytes, |v: u8| Some(v.into())),
        "b1" => plain(file, bytes, |v: bool| Some(f64::from(u8::from(v)))),
        "i2" => plain(file, bytes, |v: i16| Some(v.into())),
        "u2" => plain(file, bytes, |v: u16| Some(v.into())),
        "i4" => plain(file, bytes, |v: i32| Some(v.into())),
        "u4" => plain(file, bytes, |v: u32| Some(v.into())),
        "i8" => plain(file, bytes, |v: i64| exact(i128::from(v))),
        _ => plain(file, bytes, |v: u64| exact(i128::from(v))),
    }
}

/// A whole number that a 64-bit float holds.
fn exact(value: i128) -> Option<f64> {
    let float = value as f64;
    (float as i128 == value).then_some(float)
}

fn plain<T: ReadableElement + Copy>(
    file: &str,
    bytes: &[u8],
    convert: impl Fn(T) -> Option<f64>,
) -> Result<ArrayD<f64>, FileError> {
    let array = match ArrayD::<T>::read_npy(Cursor::new(bytes)) {
        Ok(array) => array,
        Err(error) => return Err(FileError::Damaged { file: file.to_owned(), what: error.to_string() }),
    };
    let mut lost = false;
    let converted = array.map(|&value| {
        convert(value).unwrap_or_else(|| {
            lost = true;
            0.0
        })
    });
    if lost {
        let what = "holds whole numbers beyond 2^53 that a 64-bit float cannot tell from their neighbours";
        return Err(kind(file, what, "scale or shift them before they are saved"));
    }
    Ok(converted)
}

/// Reads the header strictly, as NumPy writes it; nothing of it is trusted.
fn header(bytes: &[u8]) -> Option<Header> {
    let (length, start): (usize, usize) = match bytes.get(6)? {
        1 => (usize::from(u16::from_le_bytes(bytes.get(8..10)?.try_into().ok()?)), 10),
        2 | 3 => (usize::try_from(u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?)).ok()?, 12),
        _ => return None,
    };
    let data = start.checked_add(length)?;
    let text = std::str::from_utf8(bytes.get(start..data)?).ok()?.trim();
    let mut inner = text.strip_prefix('{')?.strip_suffix('}')?.trim();
    let (mut descr, mut shape, mut order) = (None, None, None);
    while !inner.is_empty() {
        let (key, rest) = inner.strip_prefix('\'')?.split_once('\'')?;
        let rest = rest.trim_start().strip_prefix(':')?.trim_start();
        let rest = match key {
            "descr" => match rest.strip_prefix('\'') {
                Some(rest) => {
                    let (value, rest) = rest.split_once('\'')?;
                    descr = Some(value.to_owned());
                    rest
                }
                None => {
                    // Fields of a record; what they are is not asked.
                    descr = Some("[]".to_owned());
                    let at = rest.find("'fortran_order'").or_else(|| rest.find("'shape'"))?;
                    rest[..at].trim_end().strip_suffix(',')?;
                    inner = &rest[at..];
                    continue;
                }
            },
            "fortran_order" => {
                order = Some(());
                rest.strip_prefix("False").or_else(|| rest.strip_prefix("True"))?
            }
            "shape" => {
                let (value, rest) = rest.strip_prefix('(')?.split_once(')')?;
                let sizes = value.split(',').map(str::trim).filter(|size| !size.is_empty());
                shape = Some(sizes.map(|size| size.parse().ok()).collect::<Option<Vec<usize>>>()?);
                rest
            }
            _ => return None,
        };
        let rest = rest.trim_start();
        inner = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    let () = order?;
    Some(Header { descr: descr?, shape: shape.filter(|shape: &Vec<usize>| shape.len() <= 8)?, data })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, array};
    use ndarray_npy::WriteNpyExt;
    use proptest::prelude::*;

    fn npy<T: ndarray_npy::WritableElement, D: ndarray::Dimension>(array: &Array<T, D>) -> Vec<u8> {
        let mut bytes = Vec::new();
        array.write_npy(&mut bytes).unwrap();
        bytes
    }

    fn source(bytes: Vec<u8>) -> Source {
        Source::from_bytes("m.npy", bytes)
    }

    #[test]
    fn members_of_any_lossless_type_and_with_one_output_of_two_dimensions() {
        let m = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let due = m.clone().insert_axis(Axis(2));
        let whole = m.mapv(|v| v as i64);
        let half = m.mapv(|v| f16::from_f64(v).to_bits());
        let mut halves = npy(&half);
        let at = halves.windows(3).position(|w| w == b"<u2").unwrap();
        halves[at + 1] = b'f';
        for bytes in [
            npy(&m),
            npy(&due),
            npy(&m.mapv(|v| v as f32)),
            npy(&whole),
            npy(&whole.mapv(|v| v as u8)),
            npy(&m.t().as_standard_layout().t().to_owned()),
            halves,
        ] {
            assert_eq!(members(source(bytes), 3, Some(1)).unwrap(), due);
        }
        assert_eq!(members(source(npy(&array![[true, false]])), 2, None).unwrap(), array![[[1.0], [0.0]]]);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_remedy() {
        let m = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        for (bytes, n_points, n_outputs, words) in [
            (npy(&m), 2, 1, "m.T"),
            (npy(&m), 3, 2, "m[:, :, None]"),
            (npy(&m), 20, 1, "it has predictions of 3 points where there are 20"),
            (npy(&m), 2, 3, "m[None, :, :]"),
            (npy(&m.row(0).to_owned()), 3, 1, "m[None, :, None]"),
            (npy(&m.clone().insert_axis(Axis(2))), 2, 1, "m.transpose(1, 0, 2)"),
            (npy(&array![[(1_i64 << 53) + 1]]), 1, 1, "2^53"),
            (npy(&array![[f64::NAN]]), 1, 1, "[0, 0] is NaN"),
            (b"1,2\n".to_vec(), 1, 1, "numpy.save"),
        ] {
            let error = members(source(bytes), n_points, Some(n_outputs)).unwrap_err().to_string();
            assert!(error.contains("m.npy") && error.contains(words), "{error}");
        }
        for (from, to, words) in
            [("<f8", "<c8", "complex"), ("<f8", "|O8", "objects"), ("(2, 3)", "(2, 9)", "144 bytes")]
        {
            let mut bytes = npy(&m);
            let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
            bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
            let error = members(source(bytes), 3, Some(1)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    proptest! {
        #[test]
        fn damage_never_ends_the_program(at in 0..176_usize, to in any::<u8>(), cut in 0..176_usize) {
            let mut bytes = npy(&array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
            let at = at.min(bytes.len() - 1);
            bytes[at] = to;
            let _ = matrix("m", &bytes);
            if cut < bytes.len() {
                prop_assert!(matrix("m", &bytes[..cut]).is_err());
            }
        }

        #[test]
        fn any_header_is_read_or_refused(text in "[{}'a-z_:,() 0-9<>f8TrueFalse]{0,60}", version in 0..4_u8) {
            let mut bytes = b"\x93NUMPY".to_vec();
            bytes.extend([version, 0]);
            bytes.extend((text.len() as u16).to_le_bytes());
            if version > 1 {
                bytes.extend([0, 0]);
            }
            bytes.extend(text.bytes());
            let _ = matrix("m", &bytes);
        }
    }
}
