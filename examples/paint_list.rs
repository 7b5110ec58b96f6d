//! Paints a list of prompts with one loaded model: `paint_list MODEL [THREADS] < list.jsonl`.
//!
//! Each line of standard input is `{"prompt", "out", "seed"}` and, if wanted, `"negative"`, `"steps"`, `"guidance"`,
//! `"scheduler"`; each picture painted is answered with its file name on standard output.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;

use easel::{CancelToken, LoadOptions, PaintRequest, Pipeline};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    prompt: String,
    out: PathBuf,
    seed: u64,
    #[serde(default)]
    negative: String,
    steps: Option<usize>,
    guidance: Option<f32>,
    scheduler: Option<String>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: paint_list MODEL [THREADS] < list.jsonl";
    let model = arguments.next().ok_or(usage)?;
    let options = LoadOptions {
        threads: arguments.next().map(|n| n.parse()).transpose()?,
        ..LoadOptions::default()
    };
    let mut pipeline = Pipeline::load(model.as_ref(), &options)?;
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line: Line = serde_json::from_str(&line?)
            .map_err(|error| format!("standard input, line {}: {error}", number + 1))?;
        let request = PaintRequest {
            negative: Some(line.negative),
            steps: line.steps,
            guidance: line.guidance,
            seed: line.seed,
            scheduler: line.scheduler.as_deref().map(str::parse).transpose()?,
            ..PaintRequest::new(line.prompt)
        };
        let painting = pipeline.paint(&request, &CancelToken::new(), &mut |_| {})?;
        painting.picture.write_png(&line.out)?;
        writeln!(std::io::stdout(), "{}", line.out.display())?;
    }
    Ok(())
}
