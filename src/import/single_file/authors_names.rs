//! The way back: a U-Net's layers by their authors' names, which LoRAs have for them.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::weights::Weights;
use super::unet::{OUTSIDE, RESIDUAL};

/// The names that the authors of a U-Net gave its layers, beside diffusers'. Of any other network there are none.
pub(in crate::import) fn authors_names(weights: &Weights) -> Vec<(String, String)> {
    let layers = Layers::of(weights);
    if !layers.has("conv_in") {
        return Vec::new();
    }
    let mut names: Vec<(String, String)> = Vec::new();
    for (theirs, ours) in OUTSIDE {
        names.push((theirs.to_owned(), ours.to_owned()));
    }
    // Of the first block, `conv_in` is.
    let mut number = 1;
    for level in layers.numbers("down_blocks") {
        let block = format!("down_blocks.{level}");
        for part in layers.numbers(&format!("{block}.resnets")) {
            layers.name_block(&format!("input_blocks.{number}"), &block, part, &mut names);
            number += 1;
        }
        let halves = format!("{block}.downsamplers.0.conv");
        if layers.has(&halves) {
            names.push((format!("input_blocks.{number}.0.op"), halves));
            number += 1;
        }
    }
    // A residual block, then a transformer, and so on.
    number = 0;
    for part in layers.numbers("mid_block.resnets") {
        layers.name_residual(
            &format!("middle_block.{number}"),
            &format!("mid_block.resnets.{part}"),
            &mut names,
        );
        number += 1;
        let attention = format!("mid_block.attentions.{part}");
        if layers.has_any(&attention) {
            layers.name_all(&format!("middle_block.{number}"), &attention, &mut names);
            number += 1;
        }
    }
    number = 0;
    for level in layers.numbers("up_blocks") {
        let block = format!("up_blocks.{level}");
        for part in layers.numbers(&format!("{block}.resnets")) {
            layers.name_block(&format!("output_blocks.{number}"), &block, part, &mut names);
            number += 1;
        }
        let doubles = format!("{block}.upsamplers.0.conv");
        if layers.has(&doubles) && number > 0 {
            let behind = if layers.has_any(&format!("{block}.attentions")) {
                2
            } else {
                1
            };
            names.push((
                format!("output_blocks.{}.{behind}.conv", number - 1),
                doubles,
            ));
        }
    }
    names
}

/// The layers of a network by diffusers' names.
struct Layers(BTreeSet<String>);

impl Layers {
    fn of(weights: &Weights) -> Self {
        let names = weights.keys();
        let layers = names.filter_map(|name| name.strip_suffix(".weight"));
        Self(layers.map(str::to_owned).collect())
    }

    fn has(&self, layer: &str) -> bool {
        self.0.contains(layer)
    }

    /// Those below a name.
    fn below(&self, at: &str) -> impl Iterator<Item = &str> {
        let at = format!("{at}.");
        let from = self.0.range(at.clone()..).map(String::as_str);
        from.take_while(move |name| name.starts_with(&at))
    }

    fn has_any(&self, at: &str) -> bool {
        self.below(at).next().is_some()
    }

    fn numbers(&self, at: &str) -> Range<usize> {
        let there = (0..).take_while(|number| self.has_any(&format!("{at}.{number}")));
        0..there.count()
    }

    /// Names a residual block, and the transformer behind it.
    fn name_block(
        &self,
        theirs: &str,
        block: &str,
        part: usize,
        names: &mut Vec<(String, String)>,
    ) {
        self.name_residual(
            &format!("{theirs}.0"),
            &format!("{block}.resnets.{part}"),
            names,
        );
        self.name_all(
            &format!("{theirs}.1"),
            &format!("{block}.attentions.{part}"),
            names,
        );
    }

    fn name_residual(&self, theirs: &str, ours: &str, names: &mut Vec<(String, String)>) {
        for (their_part, part) in RESIDUAL {
            names.push((format!("{theirs}.{their_part}"), format!("{ours}.{part}")));
        }
    }

    /// Names layers that both call the same.
    fn name_all(&self, theirs: &str, ours: &str, names: &mut Vec<(String, String)>) {
        for layer in self.below(ours) {
            names.push((
                format!("{theirs}{}", &layer[ours.len()..]),
                layer.to_owned(),
            ));
        }
    }
}
