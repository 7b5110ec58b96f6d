//! Paints a list of prompts with one loaded model: `paint_list MODEL [THREADS] < list.jsonl`.
//!
//! Each line of standard input is `{"prompt", "out", "seed"}` and, if wanted, `"negative"`, `"steps"`, `"guidance"`,
//! `"scheduler"`. Each is answered by a line on standard output: `{"out", "painted", "warnings"}`, where `painted` is what the model was
//! given if that is not the prompt, or `{"out", "refused"}` for a prompt that cannot be painted.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;

use easel::{CancelToken, Error, LoadOptions, PaintRequest, Pipeline};
use serde::Deserialize;
use serde_json::json;

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
        let painted = pipeline.paint(&request, &CancelToken::new(), &mut |_| {});
        let answer = match painted {
            Ok(painting) => {
                painting.picture.write_png(&line.out)?;
                json!({"out": line.out, "painted": painting.painted, "warnings": painting.warnings})
            }
            Err(Error::Request(refused)) => {
                json!({"out": line.out, "refused": refused.to_string()})
            }
            Err(error) => return Err(error.into()),
        };
        writeln!(std::io::stdout(), "{answer}")?;
    }
    Ok(())
}
