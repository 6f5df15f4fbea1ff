//! The program `dal`: everything is in the library, which the Python package calls, too.

/// A shortage of memory is said and ends the program with exit code 2; a library must not decide that for its process.
#[global_allocator]
static ALLOCATOR: dal_cli::memory::Allocator = dal_cli::memory::Allocator;

fn main() -> std::process::ExitCode {
    dal_cli::run(std::env::args_os()).into()
}
