//! `easel plan`: what painting takes of memory, before any of it.

use crate::engine::EngineArguments;
use crate::paint::parse_size;
use crate::{failure::Failure, report};
use clap::Args;
use easel::{
    Component, Control, MemoryPlan, PaintRequest, Picture, Pipeline, StagePlan, Tile,
    component_plan,
};
use serde::Serialize;
use std::fmt::Write as _;

/// What `easel plan` is told.
#[derive(Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    engine: EngineArguments,
    /// Picture size in pixels [default: the model's]
    #[arg(long, value_name = "WxH", value_parser = parse_size, allow_hyphen_values = true)]
    size: Option<(u32, u32)>,
    /// With a picture to begin with
    #[arg(long)]
    image: bool,
    /// With pictures for so many ControlNets
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=8))]
    controls: u8,
    /// With a picture to paint like
    #[arg(long)]
    ip_image: bool,
    /// Of one network by itself, by its folder, as text_encoder, unet or vae_decoder; a denoiser guided [default: a whole picture]
    #[arg(long, value_name = "NAME")]
    component: Option<Component>,
    /// Print one line of JSON on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    budget_mib: Option<usize>,
    peak_mib: usize,
    base_mib: f64,
    keeps: bool,
    stages: Vec<StageReport>,
}

#[derive(Serialize)]
struct StageReport {
    component: String,
    tiles: usize,
    tile: Option<[usize; 2]>,
    weights_mib: f64,
    resident_mib: f64,
    read_ahead_mib: f64,
    graph_mib: f64,
    tensors_mib: f64,
    peak_mib: f64,
}

impl From<&StagePlan> for StageReport {
    fn from(stage: &StagePlan) -> Self {
        Self {
            component: stage.component.to_string(),
            tiles: stage.tiles.map_or(1, |(_, count)| count),
            tile: stage.tiles.map(|(shape, _)| shape),
            weights_mib: mib(stage.weights),
            resident_mib: mib(stage.resident),
            read_ahead_mib: mib(stage.read_ahead),
            graph_mib: mib(stage.graph),
            tensors_mib: mib(stage.largest()),
            peak_mib: mib(stage.peak()),
        }
    }
}

/// Makes the plan and prints it.
pub(crate) fn run(arguments: &PlanArguments) -> Result<(), Failure> {
    report::kernel()?;
    let model = arguments.engine.model()?;
    let options = arguments.engine.options();
    let plan = match &arguments.component {
        Some(component) => component_plan(&model, &options, component, arguments.size, true)?,
        None => {
            let mut pipeline = Pipeline::load(&model, &options)?;
            let size = arguments.size.unwrap_or(pipeline.defaults().size);
            pipeline.memory_plan_of(&request(arguments, size))?
        }
    };
    let text = if arguments.json {
        let report = Report {
            budget_mib: plan.budget.map(|bytes| bytes >> 20),
            peak_mib: mib(plan.peak()).ceil() as usize,
            base_mib: mib(plan.base),
            keeps: plan.keeps,
            stages: plan.stages.iter().map(StageReport::from).collect(),
        };
        serde_json::to_string(&report)
            .map_err(|error| Failure::Failed(format!("report: {error}")))?
    } else {
        readable(&plan)
    };
    report::print(&text, "the plan is lost; send it where it can be written")
}

/// A guided picture. Of its own pictures it matters that there are some.
fn request(arguments: &PlanArguments, size: (u32, u32)) -> PaintRequest {
    let picture = Picture {
        width: 1,
        height: 1,
        rgb: vec![0; 3],
    };
    let controls = (0..arguments.controls).map(|_| Control::new(picture.clone()));
    PaintRequest {
        size: Some(size),
        guidance: Some(2.0),
        image: arguments.image.then(|| picture.clone()),
        controls: controls.collect(),
        ip_image: arguments.ip_image.then_some(picture),
        ..PaintRequest::new("a")
    }
}

/// Mebibytes, to a tenth.
fn mib(bytes: usize) -> f64 {
    (bytes as f64 / f64::from(1 << 20) * 10.0).round() / 10.0
}

fn readable(plan: &MemoryPlan) -> String {
    let mut text =
        String::from("MiB            weights  in memory  read ahead  graph  tensors   peak\n");
    // Writing to a string does not fail.
    for stage in &plan.stages {
        let _ = write!(
            text,
            "{:<14}{:8.1}{:11.1}{:12.1}{:7.1}{:9.1}{:7.1}",
            stage.component.name(),
            mib(stage.weights),
            mib(stage.resident),
            mib(stage.read_ahead),
            mib(stage.graph),
            mib(stage.largest()),
            mib(plan.base + stage.peak()),
        );
        if stage.passes > 1 {
            text.push_str("   the halves of guidance one after the other");
        }
        if let Some(([height, width], count)) = stage.tiles.filter(|(_, count)| *count > 1) {
            let _ = write!(text, "   {count} tiles of {width}x{height} latents");
            if matches!(stage.tile, Tile::Apart(_)) {
                text.push_str(", each by itself");
            }
        }
        text.push('\n');
    }
    let _ = writeln!(text, "the program   {:50.1}", mib(plan.base));
    text.push('\n');
    text.push_str(&drawing(plan));
    let stay = if plan.keeps {
        "networks stay loaded between pictures"
    } else {
        "each network leaves after its turn"
    };
    let budget = plan.budget.map_or_else(
        || "no budget".to_owned(),
        |budget| format!("budget {} MiB", budget >> 20),
    );
    let _ = write!(
        text,
        "at most {:.0} MiB, {budget}; {stay}",
        mib(plan.peak()).ceil()
    );
    text
}

/// Rows of the drawing.
const ROWS: usize = 10;
/// Columns of each network's part.
const COLUMNS: usize = 24;

/// Memory over a run: for each network, node by node, what is there in any case (`#`) and its tensors (`+`).
fn drawing(plan: &MemoryPlan) -> String {
    let top = plan.peak().max(1);
    let mut columns: Vec<(usize, usize)> = Vec::new();
    for (at, stage) in plan.stages.iter().enumerate() {
        let others: usize = plan
            .stages
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at && plan.keeps)
            .map(|(_, other)| other.kept())
            .sum();
        let there = plan.base + others + stage.kept();
        let nodes = &stage.activations;
        let count = COLUMNS.min(nodes.len().max(1));
        for column in 0..count {
            // The fullest of the nodes that fall into the column.
            let range = column * nodes.len() / count..(column + 1) * nodes.len() / count;
            let tensors = nodes[range].iter().max().copied().unwrap_or(0);
            columns.push((there, there + tensors));
        }
    }
    let mut text = String::new();
    for row in (0..ROWS).rev() {
        let level = top * row / ROWS;
        let _ = write!(text, "{:6.0} |", mib(top * (row + 1) / ROWS));
        for &(there, all) in &columns {
            text.push(match () {
                () if there > level => '#',
                () if all > level => '+',
                () => ' ',
            });
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text.push_str("       +");
    for stage in &plan.stages {
        let count = COLUMNS.min(stage.activations.len().max(1));
        let _ = write!(text, "{:-<count$.count$}", stage.component.name());
    }
    text.push('\n');
    text
}
