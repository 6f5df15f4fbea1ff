//! The program `dal`: everything is in the library, which the Python package calls, too.

fn main() -> std::process::ExitCode {
    dal_cli::run(std::env::args_os()).into()
}
