//! dal: deep active learning for regression on the command line.
fn main() {}
