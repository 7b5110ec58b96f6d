//! A child that ends with easel, however easel ends: no broker may hold the port when easel starts again.
//!
//! The system sends a process a signal when its parent is gone if it has asked for that (`PR_SET_PDEATHSIG`, prctl(2)). It must
//! ask for it itself: so the child is easel once more, under another name, which asks and becomes the other program.

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

/// What the child is called by whom it is started, before it becomes the program.
const NAME: &str = "easel-tether";

/// The program `program`, to be started by a thread that lives as long as the program may: the signal comes when that
/// thread is gone.
pub(super) fn tether(program: &Path) -> Command {
    // Of the file that runs, even when another lies in its place by now.
    let mut command = Command::new("/proc/self/exe");
    let parent = getpid().as_raw_nonzero().to_string();
    command.arg0(NAME).arg(parent).arg(program);
    command
}

/// Becomes the program, if this process was started to.
pub(crate) fn tethered() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    (arguments.next()? == NAME).then(|| {
        let error = become_it(arguments);
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}

/// Returns only if it cannot.
fn become_it(mut arguments: impl Iterator<Item = OsString>) -> String {
    let parent = arguments.next();
    let parent = parent.as_deref().and_then(OsStr::to_str);
    let (Some(Ok(parent)), Some(program)) = (parent.map(str::parse), arguments.next()) else {
        return format!("{NAME}: name the parent's process and a program");
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        return format!("PR_SET_PDEATHSIG: {error}");
    }
    // It may have gone before it was asked for.
    if getppid() != Pid::from_raw(parent) {
        return "easel has ended".to_owned();
    }
    let error = Command::new(&program).args(arguments).exec();
    format!("{}: {error}", Path::new(&program).display())
}
