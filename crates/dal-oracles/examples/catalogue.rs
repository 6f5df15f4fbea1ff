//! Prints `docs/catalogue.md`, the page of the built-in problems.

fn main() {
    print!("{}", dal_oracles::catalogue_page());
}
