//! Files of weights, of any bytes: read as a checkpoint in one file and as a LoRA, or refused in one line. Memory grows with the file
//! and not with what the file says.
//!
//! An input that begins with a zero byte is a file as it is. All others are lists, a line a tensor: its name and its sides, as
//! `lora_unet_conv_in.lora_up.weight 4 2`; each becomes a tensor with bytes of the input.
//!
//! `EASEL_FUZZ_SEEDS=FOLDER` writes lists to begin with, and ends.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, json};

/// The U-Net that LoRAs are for.
const BASE: &str = "conv_in.weight 4 4 3 3
down_blocks.0.resnets.0.conv1.weight 4 4 3 3
down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight 4 4
down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0.weight 4 6
down_blocks.0.downsamplers.0.conv.weight 4 4 3 3
mid_block.attentions.0.proj_in.weight 4 4 1 1
up_blocks.0.resnets.0.conv1.weight 4 8 3 3
up_blocks.0.upsamplers.0.conv.weight 4 4 3 3";
/// Numbers of a tensor at most: more is no other case.
const MOST: u64 = 1 << 16;
const MOST_TENSORS: usize = 2000;

/// In memory: a disk would be worn out.
static FILES: LazyLock<[PathBuf; 2]> = LazyLock::new(|| {
    let folder = PathBuf::from(format!("/dev/shm/easel-fuzz-{}", std::process::id()));
    for tokenizer in ["tokenizer", "tokenizer_2"] {
        std::fs::create_dir_all(folder.join(tokenizer)).expect("memory");
    }
    if let Some(seeds) = std::env::var_os("EASEL_FUZZ_SEEDS") {
        write_seeds(Path::new(&seeds));
        std::process::exit(0);
    }
    let base = folder.join("base.safetensors");
    std::fs::write(&base, listed(BASE)).expect("memory");
    [folder.join("file.safetensors"), base]
});

/// The file of a list.
fn listed(list: &str) -> Vec<u8> {
    let (mut table, mut end) = (Map::new(), 0_u64);
    for line in list.lines().take(MOST_TENSORS) {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let sides: Vec<u64> = words.filter_map(|side| side.parse().ok()).collect();
        let count = sides
            .iter()
            .try_fold(1_u64, |count, side| count.checked_mul(*side));
        let Some(count) = count.filter(|count| *count <= MOST) else {
            continue;
        };
        let start = end;
        end += 4 * count;
        table.insert(
            name.to_owned(),
            json!({"dtype": "F32", "shape": sides, "data_offsets": [start, end]}),
        );
    }
    let table = serde_json::Value::Object(table).to_string();
    let mut file = (table.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(table.as_bytes());
    let numbers = list
        .bytes()
        .cycle()
        .map(|byte| f32::from(byte) / 64.0 - 1.0);
    for number in numbers.take(end as usize / 4) {
        file.extend(number.to_le_bytes());
    }
    file
}

fn write_seeds(folder: &Path) {
    std::fs::create_dir_all(folder).expect("room");
    let unet = "model.diffusion_model";
    let checkpoint = [
        ("input_blocks.0.0", "32 4 3 3"),
        ("time_embed.0", "128 32"),
        ("time_embed.2", "128 128"),
        ("input_blocks.1.0.in_layers.0", "32"),
        ("input_blocks.1.0.in_layers.2", "32 32 3 3"),
        ("input_blocks.1.0.emb_layers.1", "32 128"),
        ("input_blocks.1.1.transformer_blocks.0.attn2.to_k", "32 64"),
        ("input_blocks.2.0.op", "32 32 3 3"),
        ("middle_block.0.in_layers.2", "32 32 3 3"),
        ("output_blocks.0.0.in_layers.2", "32 64 3 3"),
        ("output_blocks.0.1.conv", "32 32 3 3"),
        ("out.2", "4 32 3 3"),
        ("label_emb.0.0", "128 160"),
    ]
    .map(|(name, sides)| format!("{unet}.{name}.weight {sides}"))
    .join("\n");
    let rest = "first_stage_model.decoder.up.0.block.0.conv1.weight 32 32 3 3
first_stage_model.decoder.mid.attn_1.q.weight 32 32 1 1
first_stage_model.decoder.conv_in.weight 32 4 3 3
cond_stage_model.transformer.text_model.embeddings.token_embedding.weight 1000 64
conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight 192 64
conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_bias 192
conditioner.embedders.1.model.text_projection 64 64
conditioner.embedders.1.model.positional_embedding 77 64
cond_stage_model.model.token_embedding.weight 1000 64";
    let seeds = [
        ("checkpoint", format!("{checkpoint}\n{rest}")),
        ("kohya", "lora_unet_conv_in.lora_up.weight 4 2 1 1\nlora_unet_conv_in.lora_down.weight 2 4 3 3\nlora_unet_conv_in.alpha".into()),
        ("mid", "lora_unet_input_blocks_1_0_in_layers_2.lora_up.weight 4 2 1 1\nlora_unet_input_blocks_1_0_in_layers_2.lora_down.weight 2 4 1 1\nlora_unet_input_blocks_1_0_in_layers_2.lora_mid.weight 2 2 3 3".into()),
        ("hada", "lora_unet_conv_in.hada_w1_a 4 2\nlora_unet_conv_in.hada_w1_b 2 36\nlora_unet_conv_in.hada_w2_a 4 2\nlora_unet_conv_in.hada_w2_b 2 36".into()),
        ("peft", "base_model.model.mid_block.attentions.0.proj_in.lora_A.weight 1 4 1 1\nbase_model.model.mid_block.attentions.0.proj_in.lora_B.weight 4 1 1 1".into()),
        ("old", "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.down.weight 2 6\nunet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.up.weight 4 2".into()),
    ];
    for (name, list) in seeds {
        let mut file = vec![0];
        file.extend(listed(&list));
        std::fs::write(folder.join(name), list).expect("room");
        std::fs::write(folder.join(format!("{name}-file")), file).expect("room");
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [file, base] = &*FILES;
    let content = match bytes {
        [0, file @ ..] => file.to_vec(),
        list => listed(&String::from_utf8_lossy(list)),
    };
    std::fs::write(file, content).expect("memory");
    for line in easel::fuzzing::safetensors(file, base)
        .into_iter()
        .filter_map(Result::err)
    {
        let is_line = line.len() < 2000 && !line.contains(char::is_control);
        assert!(is_line, "not one line: {line:?}");
    }
});
