//! Distances, nearest neighbours, coverings and clusterings of point sets, exact and deterministic.
//!
//! | item | what it is for |
//! |---|---|
//! | [`Covering`] | greedy covering (farthest first), in one space or in a product of spaces, evaluated lazily |
//! | [`NearestCentre`] | the distance of every point to its nearest centre, kept current as centres arrive |
//! | [`Neighbours`] | k nearest neighbours by kd-tree or scan, the dimension known at run time only |
//! | [`mean_cosine_similarity`] | similarity to the most similar other points, through unit vectors |
//! | [`mean_nearest_distance`] | how spread a batch is |
//! | [`gram`], [`row_products`] | dot products of columns with each other, of rows with other rows |
//! | [`quadratic_forms`], [`RoughRows`] | `x · A x` of every row; products of rows with two vectors, and bounds |
//! | [`Cholesky`] | the factor of a positive definite matrix, and rows whitened by it |
//! | [`jenks`] | Fisher–Jenks natural breaks, exact |
//! | [`average_linkage`] | hierarchical clustering with a budget for its matrix |
//!
//! ```
//! use dal_geom::{Covering, PointSet, Space};
//! use ndarray::array;
//!
//! let pool = array![[0.0, 0.1], [0.9, 0.9], [0.5, 0.0]];
//! let labelled = array![[0.0, 0.0]];
//! let space = Space::new(PointSet::new("pool", pool.view())?, PointSet::new("labelled", labelled.view())?)?;
//! let farthest = Covering::new(vec![space])?.pick().unwrap();
//! assert_eq!(farthest.index, 1);
//! # Ok::<(), dal_geom::GeomError>(())
//! ```
//!
//! Everything runs on the calling thread and takes finite `f64` points. Squared distances are sums of squared
//! differences in the order of the coordinates, the same to the bit on every path, so ties and duplicates are exact and
//! go to the lowest index. Not here: approximate neighbours, other metrics, anything that knows of models or labels.

mod cosine;
mod covering;
mod error;
mod jenks;
mod knn;
mod linalg;
mod linkage;
mod nearest;
mod points;
mod rough;
mod simd;

pub use cosine::mean_cosine_similarity;
pub use covering::{Covering, NearestCentre, Pick, Space};
pub use error::GeomError;
pub use jenks::jenks;
pub use knn::{MAX_TREE_DIMENSION, Neighbour, Neighbours, Search, mean_nearest_distance};
pub use linalg::{Cholesky, LINEAR_ALGEBRA, gram, quadratic_forms, row_products};
pub use linkage::{DEFAULT_MATRIX_BUDGET, average_linkage};
pub use points::{PointSet, check_finite, squared_distance};
pub use rough::RoughRows;
