//! The `easel` command; see the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    easel_firmware::run()
}
