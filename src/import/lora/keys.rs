//! The names of tensors in files of LoRAs: a layer, and which of its matrices.
//!
//! | written by | example |
//! |---|---|
//! | kohya's trainer | `lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight`, `lora_te1_text_model_…`, `….alpha` |
//! | the same, SDXL | `lora_unet_input_blocks_4_1_proj_in.lora_down.weight`: the authors' names of the U-Net's layers |
//! | LyCORIS | as kohya's, with `.hada_w1_a` … |
//! | PEFT | `base_model.model.down_blocks.0.attentions.0.proj_in.lora_A.weight` |
//! | diffusers | `unet.down_blocks.0.attentions.0.proj_in.lora_A.weight` or `.lora.down.weight`, `text_encoder.text_model.…` |
//! | diffusers, 2023 | `unet.….attn1.processor.to_q_lora.down.weight`, `….lora_linear_layer.down.weight` |

use super::super::error::quoted;

/// What PEFT puts before each name.
pub(super) const PEFT: &str = "base_model.model.";

/// Which of a layer's matrices it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// How strong the change is: it is multiplied by alpha / rank.
    Alpha,
    /// `[rank, in, …]`.
    Down,
    /// `[rank, rank, height, width]`, between both: a convolution that is decomposed.
    Mid,
    /// `[out, rank, …]`.
    Up,
    /// LoHa's `w1_a`, `w1_b`, `w2_a`, `w2_b`, counted from 0 on.
    Hadamard(usize),
}

const ENDINGS: [(&str, Role); 14] = [
    (".alpha", Role::Alpha),
    (".lora_down.weight", Role::Down),
    (".lora_mid.weight", Role::Mid),
    (".lora_up.weight", Role::Up),
    (".lora_A.weight", Role::Down),
    (".lora_B.weight", Role::Up),
    (".lora.down.weight", Role::Down),
    (".lora.up.weight", Role::Up),
    (".lora_linear_layer.down.weight", Role::Down),
    (".lora_linear_layer.up.weight", Role::Up),
    (".hada_w1_a", Role::Hadamard(0)),
    (".hada_w1_b", Role::Hadamard(1)),
    (".hada_w2_a", Role::Hadamard(2)),
    (".hada_w2_b", Role::Hadamard(3)),
];
/// Behind a layer that is called `to_q_lora`.
const OLD_ENDINGS: [(&str, Role); 2] = [(".down.weight", Role::Down), (".up.weight", Role::Up)];
const OLD_LAYER: &str = "_lora";

/// Ways to change a layer that are not known here.
const OTHER_WAYS: [(&str, &str); 6] = [
    (".dora_scale", "DoRA"),
    (".lora_magnitude_vector", "DoRA"),
    (".lokr_", "LoKr"),
    (".hada_t", "LoHa with a decomposed convolution"),
    (".oft_", "OFT"),
    (".diff", "a whole difference"),
];

/// Splits a tensor's name.
pub(super) fn parse(name: &str) -> Result<(&str, Role), String> {
    let find = |endings: &[(&str, Role)]| {
        endings.iter().find_map(|(ending, role)| {
            let layer = name.strip_suffix(ending)?;
            Some((layer, *role))
        })
    };
    if let Some(found) = find(&ENDINGS) {
        return Ok(found);
    }
    if let Some(found) = find(&OLD_ENDINGS).filter(|(layer, _)| layer.ends_with(OLD_LAYER)) {
        return Ok(found);
    }
    let other = OTHER_WAYS.iter().find(|(part, _)| name.contains(part));
    let name = quoted(name);
    Err(match other {
        Some((_, way)) => format!(
            "has {name}, which is {way} and not known here: merge it with diffusers on a PC (fuse_lora), and import that"
        ),
        None => format!("has {name}, which is of no LoRA that is known here"),
    })
}

/// A layer of a network.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layer<'n> {
    /// Folder of the network.
    pub(super) network: &'n str,
    pub(super) name: String,
    /// Its name has underscores for dots.
    pub(super) underscored: bool,
}

/// Which layer a name is of; `is_network` says what networks there are.
pub(super) fn layer(name: &str, is_network: impl Fn(&str) -> bool) -> Layer<'_> {
    const UNDERSCORED: [(&str, &str); 4] = [
        ("lora_unet_", "unet"),
        ("lora_te_", "text_encoder"),
        ("lora_te1_", "text_encoder"),
        ("lora_te2_", "text_encoder_2"),
    ];
    for (prefix, network) in UNDERSCORED {
        if let Some(own) = name.strip_prefix(prefix) {
            return Layer {
                network,
                name: own.to_owned(),
                underscored: true,
            };
        }
    }
    let own = name.strip_prefix(PEFT).unwrap_or(name);
    let (network, own) = match own.split_once('.') {
        Some((network, own)) if is_network(network) => (network, own),
        Some(("text_model", _)) => ("text_encoder", own),
        _ => ("unet", own),
    };
    Layer {
        network,
        name: renewed(own),
        underscored: false,
    }
}

/// A layer's present name, where diffusers had another one in 2023: `attn1.processor.to_out_lora` → `attn1.to_out.0`.
fn renewed(name: &str) -> String {
    let Some((at, layer)) = name.rsplit_once('.') else {
        return name.to_owned();
    };
    let Some(layer) = layer.strip_suffix(OLD_LAYER) else {
        return name.to_owned();
    };
    if at.ends_with(".self_attn") {
        // transformers' names.
        let layer = layer.strip_prefix("to_").unwrap_or(layer);
        return format!("{at}.{layer}_proj");
    }
    let at = at.strip_suffix(".processor").unwrap_or(at);
    match layer {
        "to_out" => format!("{at}.to_out.0"),
        layer => format!("{at}.{layer}"),
    }
}
