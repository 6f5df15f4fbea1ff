//! Users' tables of numbers: one reader for all commands and oracles, which says what it assumed and where a file is at
//! fault.
//!
//! It reads CSV of every dialect, gzip, NumPy arrays and (feature `parquet`) Parquet; other files are named for what
//! they are, with the remedy. It knows nothing of problems or learning beyond [`dal_core::Dimension`], and prints
//! nothing: what it assumed comes back as [`Note`]s.
//!
//! ```
//! use dal_files::{Expect, Source, read};
//!
//! let names = ["speed", "angle"].map(str::to_owned).to_vec();
//! let expect = Expect::Named { sets: &[names], words: &[], bare: None };
//! let (table, notes) = read(Source::from_bytes("t.csv", "angle;speed\n10,0;1,5\n"), &expect)?;
//! let places = table.find(&["speed", "angle"])?;
//! assert_eq!(table.number(0, places[0])?, 1.5);
//! assert_eq!(notes[0].to_string(), "t.csv: read with `;` between cells and decimal commas");
//! # Ok::<(), dal_files::FileError>(())
//! ```

pub mod dialect;
pub mod edge;
pub mod error;
pub mod labelled;
pub mod names;
mod npy;
pub mod number;
pub mod points;
pub mod printed;
pub mod source;
pub mod table;
pub mod write;

pub use dialect::{Dialect, Separator};
pub use error::{At, FileError, Moves, Note};
pub use labelled::{Labelled, Labels, labelled};
pub use npy::members;
pub use points::{Inputs, Points, Units, points, points_beside};
pub use source::Source;
pub use table::{Bare, Expect, Member, Table, cells, read, read_together};
