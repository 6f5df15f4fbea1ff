//! Networks as ONNX models: a small builder of graphs, and an ensemble's nodes in one.
//!
//! A [`Graph`] is made node by node and written with its numbers in the file itself. [`add_to`] of a surrogate puts an
//! ensemble into one: members lie along the first axis of every tensor, so that the graph has as many nodes as one
//! network, however many members there are. Their arithmetic is in 32-bit floats, in which they were trained and are
//! evaluated here; what stands around them is in 64-bit floats.
//!
//! [`add_to`]: crate::CpuSurrogate::add_to
//!
//! ```
//! use dal_core::{Labelled, Needs, SeedPath};
//! use dal_nn::onnx::{About, Attribute, Graph};
//! use dal_nn::{CpuLearner, Head, NetworkSpec, TrainingSpec};
//! # use ndarray::Array2;
//! # let x = Array2::from_shape_fn((8, 2), |(i, j)| (i * (j + 1) % 8) as f64 / 4.0 - 1.0);
//! # let y = x.map_axis(ndarray::Axis(1), |row| row.sum()).insert_axis(ndarray::Axis(1));
//! let network = NetworkSpec::new(2, 1, vec![8], None, Head::Linear)?;
//! let learner = CpuLearner::new(network, TrainingSpec { epochs: 20, ..TrainingSpec::default() })?;
//! let model = learner.fit(&Labelled::new(x, y)?, &Needs::default(), &SeedPath::root(0))?;
//! let mut graph = Graph::new("sum");
//! let x = graph.input("x", 2, "points of the unit box");
//! let members = model.add_to(&mut graph, &x);
//! graph.node("ReduceMean", &[&members], "mean", &[("axes", Attribute::Ints(&[0])), ("keepdims", Attribute::Int(0))]);
//! graph.output("mean", 1, "the mean over members");
//! let bytes = graph.into_bytes(&About { producer: "me", version: "1", text: "x0 + x1", metadata: &[] })?;
//! assert!(bytes.len() > 1000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ensemble;
mod proto;

use prost::Message;

use self::proto::{
    AttributeProto, Dimension, Entry, GraphProto, Length, Model, Node, OperatorSet, Shape, Tensor, TensorType, Type,
    ValueInfo,
};

/// The operator set that files are of: the first in which every operator here takes what it is given (ONNX 1.8, 2020).
pub const OPSET: i64 = 13;

/// The version of the file's form, that of the operator set's time.
const IR_VERSION: i64 = 7;

/// What a message of `protobuf` may be long.
const LARGEST: usize = i32::MAX as usize;

/// A graph that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    /// The file would be longer than any reader takes.
    #[error(
        "the model would be a file of {found} bytes; an ONNX file has at most {LARGEST}: take fewer or smaller networks"
    )]
    TooLarge {
        /// Its length.
        found: usize,
    },
}

/// An attribute of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute<'a> {
    /// One whole number.
    Int(i64),
    /// Several.
    Ints(&'a [i64]),
}

/// The numbers of a constant, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// Whole numbers.
    I64(Vec<i64>),
    /// Truth values.
    Bool(Vec<bool>),
}

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Self {
        Self::F32(values)
    }
}

impl From<Vec<f64>> for Values {
    fn from(values: Vec<f64>) -> Self {
        Self::F64(values)
    }
}

impl From<Vec<i64>> for Values {
    fn from(values: Vec<i64>) -> Self {
        Self::I64(values)
    }
}

impl From<Vec<bool>> for Values {
    fn from(values: Vec<bool>) -> Self {
        Self::Bool(values)
    }
}

/// The type that a tensor is cast to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Float {
    /// 32 bits.
    Single,
    /// 64 bits.
    Double,
}

/// What a file says of itself.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The program that writes it.
    pub producer: &'a str,
    /// That program's version.
    pub version: &'a str,
    /// For a person.
    pub text: &'a str,
    /// For a program: keys and values.
    pub metadata: &'a [(String, String)],
}

/// A graph under construction. Tensors are known by their names, which are to differ.
#[derive(Debug)]
pub struct Graph(GraphProto);

impl Graph {
    /// An empty graph.
    pub fn new(name: &str) -> Self {
        Self(GraphProto { name: name.to_owned(), ..GraphProto::default() })
    }

    /// An input of shape (n, `columns`) of 64-bit floats, n being any number; its name.
    pub fn input(&mut self, name: &str, columns: usize, text: &str) -> String {
        self.0.input.push(rows(name, columns, text));
        name.to_owned()
    }

    /// Says that a tensor of shape (n, `columns`) of 64-bit floats is an output.
    pub fn output(&mut self, name: &str, columns: usize, text: &str) {
        self.0.output.push(rows(name, columns, text));
    }

    /// A constant; its name.
    pub fn constant(&mut self, name: &str, shape: &[usize], values: impl Into<Values>) -> String {
        let (data_type, raw_data): (i32, Vec<u8>) = match values.into() {
            Values::F32(values) => (proto::FLOAT, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Values::F64(values) => (proto::DOUBLE, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Values::I64(values) => (proto::INT64, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Values::Bool(values) => (proto::BOOL, values.iter().map(|v| u8::from(*v)).collect()),
        };
        let dims = shape.iter().map(|n| *n as i64).collect();
        self.0.initializer.push(Tensor { dims, data_type, name: name.to_owned(), raw_data });
        name.to_owned()
    }

    /// A node of one output; the output's name.
    pub fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, Attribute<'_>)],
    ) -> String {
        let attribute = attributes.iter().map(|(name, value)| {
            let name = (*name).to_owned();
            match *value {
                Attribute::Int(i) => AttributeProto { name, i: Some(i), ints: Vec::new(), kind: proto::INT },
                Attribute::Ints(ints) => AttributeProto { name, i: None, ints: ints.to_vec(), kind: proto::INTS },
            }
        });
        self.0.node.push(Node {
            input: inputs.iter().map(|name| (*name).to_owned()).collect(),
            output: vec![output.to_owned()],
            name: format!("{output}/{operator}"),
            op_type: operator.to_owned(),
            attribute: attribute.collect(),
        });
        output.to_owned()
    }

    /// A tensor in another type; its name.
    pub fn cast(&mut self, input: &str, to: Float, output: &str) -> String {
        let kind = match to {
            Float::Single => proto::FLOAT,
            Float::Double => proto::DOUBLE,
        };
        self.node("Cast", &[input], output, &[("to", Attribute::Int(kind.into()))])
    }

    /// The model's file.
    ///
    /// # Errors
    /// A file that would be longer than 2 GiB.
    pub fn into_bytes(self, about: &About<'_>) -> Result<Vec<u8>, OnnxError> {
        let entry = |(key, value): &(String, String)| Entry { key: key.clone(), value: value.clone() };
        let model = Model {
            ir_version: IR_VERSION,
            producer_name: about.producer.to_owned(),
            producer_version: about.version.to_owned(),
            doc_string: about.text.to_owned(),
            graph: Some(self.0),
            opset_import: vec![OperatorSet { domain: Some(String::new()), version: OPSET }],
            metadata_props: about.metadata.iter().map(entry).collect(),
        };
        match model.encoded_len() {
            found if found > LARGEST => Err(OnnxError::TooLarge { found }),
            _ => Ok(model.encode_to_vec()),
        }
    }
}

/// The declaration of a matrix of 64-bit floats with any number of rows.
fn rows(name: &str, columns: usize, text: &str) -> ValueInfo {
    let dim = |length| Dimension { length: Some(length) };
    let shape = Shape { dim: vec![dim(Length::Param("n".into())), dim(Length::Value(columns as i64))] };
    let tensor_type = TensorType { elem_type: proto::DOUBLE, shape: Some(shape) };
    let kind = Type { tensor_type: Some(tensor_type) };
    ValueInfo { name: name.to_owned(), kind: Some(kind), doc_string: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte by byte what ONNX's own library (Python's `onnx` 1.23, `SerializeToString`) makes of the same model.
    #[test]
    fn a_small_model_has_the_bytes_of_onnxs_own_library() {
        let mut graph = Graph::new("g");
        let x = graph.input("x", 2, "");
        let one = graph.constant("one", &[2], vec![1.0_f64, -2.0]);
        let sum = graph.node("Add", &[&x, &one], "sum", &[]);
        graph.node("ReduceMean", &[&sum], "y", &[("axes", Attribute::Ints(&[1])), ("keepdims", Attribute::Int(0))]);
        graph.output("y", 1, "the mean");
        let metadata = [("problem".to_owned(), "p".to_owned())];
        let bytes = graph.into_bytes(&About { producer: "dal", version: "1", text: "", metadata: &metadata }).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, EXPECTED);
    }

    const EXPECTED: &str = "0807120364616c1a01313ab5010a1b0a01780a036f6e65120373756d1a0773756d2f41646422034164640a400a0373756d12\
        01791a0c792f5265647563654d65616e220a5265647563654d65616e2a0b0a04617865734001a001072a0f0a086b65657064\
        696d731800a001021201672a1b0802100b42036f6e654a10000000000000f03f00000000000000c05a140a0178120f0a0d08\
        0b12090a0312016e0a020802621e0a0179120f0a0d080b12090a0312016e0a0208011a08746865206d65616e42040a00100d\
        720c0a0770726f626c656d120170";

    #[test]
    fn constants_are_little_endian_bytes_of_their_type() {
        let mut graph = Graph::new("g");
        graph.constant("a", &[2, 1], vec![1.0_f32, -0.5]);
        graph.constant("b", &[1], vec![-2_i64]);
        graph.constant("c", &[2], vec![true, false]);
        graph.constant("d", &[], vec![f64::NAN]);
        let found: Vec<_> =
            graph.0.initializer.iter().map(|t| (t.dims.clone(), t.data_type, &t.raw_data[..])).collect();
        assert_eq!(found[0], (vec![2, 1], 1, &[0, 0, 128, 63, 0, 0, 0, 191][..]));
        assert_eq!(found[1], (vec![1], 7, &(-2_i64).to_le_bytes()[..]));
        assert_eq!(found[2], (vec![2], 9, &[1, 0][..]));
        assert_eq!(found[3], (vec![], 11, &f64::NAN.to_le_bytes()[..]));
    }
}
