//! Makes a model directory of a checkpoint: `import CHECKPOINT MODEL`.

use std::ops::ControlFlow;

use easel::import::{self, Request};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(source), Some(out)) = (arguments.next(), arguments.next()) else {
        return Err("usage: import CHECKPOINT MODEL".into());
    };
    let request = Request {
        source: source.into(),
        out: out.into(),
        ..Request::default()
    };
    let mut network = String::new();
    let report = import::run(&request, &mut |progress| {
        if network != progress.network {
            progress.network.clone_into(&mut network);
            eprintln!("{network}");
        }
        ControlFlow::Continue(())
    })?;
    println!("{}: {} MiB", report.name, report.bytes.div_ceil(1 << 20));
    Ok(())
}
