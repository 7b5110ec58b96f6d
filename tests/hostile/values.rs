//! Values of the small files.

use serde_json::{Value, json};

use super::files::with;
use super::micro;
use super::watch::{Case, Right};

/// Values that no key has, and those that have a meaning that is not theirs.
pub(crate) fn wrong_values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1),
        json!(2),
        json!(3),
        json!(1000),
        json!(65_537),
        json!(4_294_967_296_u64),
        json!(1_000_000_000_000_u64),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(0.5),
        json!(1e30),
        json!(1e308),
        json!(-1e308),
        json!(1e-320),
        json!("4"),
        json!("nan"),
        json!("a\nb\u{202e}\u{7}"),
        json!("x".repeat(100_000)),
        json!([]),
        json!([0]),
        json!([1, 2, 3]),
        json!([-1, 1_000_000_000_000_u64]),
        json!(["a", null]),
        json!([[[[1]]]]),
        json!({}),
        json!({"type": "Sequence"}),
    ]
}

/// Every value of every small file, and keys that are not in them.
pub(crate) fn values() -> Vec<Case> {
    let mut cases = Vec::new();
    for (file, whole) in micro::configurations() {
        let mut places = Vec::new();
        find(&whole, &mut Vec::new(), &mut places);
        for extra in EXTRA_KEYS.iter().filter(|(of, _)| *of == file) {
            places.extend(extra.1.iter().map(|key| vec![(*key).to_owned()]));
        }
        for place in places {
            let shown = place.join(".");
            // One letter of the vocabulary is as good as another.
            if shown.contains("vocab.") && !shown.contains("vocab.a") && !shown.contains("vocab.<")
            {
                continue;
            }
            for wrong in wrong_values() {
                let mut changed = whole.clone();
                *reach(&mut changed, &place) = wrong.clone();
                let value: String = wrong.to_string().chars().take(40).collect();
                let name = format!("{file}: {shown} = {value}");
                cases.push(with(name, Right::Either, file, changed.to_string()));
            }
            let mut without = whole.clone();
            remove(&mut without, &place);
            let name = format!("{file}: without {shown}");
            cases.push(with(name, Right::Either, file, without.to_string()));
        }
        // The same key twice: the last says nothing of the first.
        let text = whole.to_string();
        let twice = format!("{}, {}", &text[..text.len() - 1], &text[1..]);
        cases.push(with(
            format!("{file}: all keys twice"),
            Right::Either,
            file,
            twice,
        ));
    }
    cases.extend(refused());
    cases
}

/// Keys that the micro model leaves out.
const EXTRA_KEYS: &[(&str, &[&str])] = &[
    (
        "scheduler/scheduler_config.json",
        &[
            "timestep_spacing",
            "trained_betas",
            "thresholding",
            "dynamic_thresholding_ratio",
            "sample_max_value",
            "clip_sample_range",
            "rescale_betas_zero_snr",
            "shift",
            "solver_order",
            "algorithm_type",
            "final_sigmas_type",
            "use_karras_sigmas",
            "sigma_min",
            "sigma_max",
            "original_inference_steps",
            "timestep_scaling",
        ],
    ),
    (
        "vae_decoder/config.json",
        &[
            "shift_factor",
            "upsampling_scaling_factor",
            "decoder_block_out_channels",
            "latent_channels",
        ],
    ),
    (
        "easel.json",
        &[
            "latent_rgb_factors",
            "latent_rgb_bias",
            "size_multiple",
            "precision",
        ],
    ),
    (
        "tokenizer/tokenizer_config.json",
        &[
            "added_tokens_decoder",
            "additional_special_tokens",
            "padding_side",
            "truncation_side",
        ],
    ),
    (
        "model_index.json",
        &["text_encoder_2", "safety_checker", "_diffusers_version"],
    ),
];

fn find(value: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    if !path.is_empty() {
        found.push(path.clone());
    }
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), value))
            .collect(),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(n, v)| (n.to_string(), v))
            .collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        path.push(key);
        find(child, path, found);
        path.pop();
    }
}

fn reach<'v>(value: &'v mut Value, path: &[String]) -> &'v mut Value {
    path.iter().fold(value, |value, key| match value {
        Value::Array(list) => &mut list[key.parse::<usize>().expect("a place")],
        value => &mut value[key],
    })
}

fn remove(value: &mut Value, path: &[String]) {
    let (last, before) = path.split_last().expect("it is not empty");
    match reach(value, before) {
        Value::Array(list) => {
            list.remove(last.parse().expect("a place"));
        }
        Value::Object(map) => {
            map.remove(last);
        }
        _ => {}
    }
}

/// Values that are known to be wrong.
fn refused() -> Vec<Case> {
    let mut cases = Vec::new();
    let vast = json!(1_000_000_000_000_u64);
    let of: Vec<(&'static str, &[&str], Vec<Value>)> = vec![
        (
            "unet/config.json",
            &["in_channels"],
            vec![
                json!(0),
                json!(-4),
                vast.clone(),
                json!(u64::MAX),
                json!("4"),
                json!(4.5),
            ],
        ),
        (
            "unet/config.json",
            &["sample_size"],
            vec![json!(-4), vast.clone(), json!([4]), json!("4")],
        ),
        (
            "vae_decoder/config.json",
            &["block_out_channels"],
            vec![
                json!([]),
                json!(4),
                json!([1, 1, 1, 1, 1, 1, 1]),
                json!([-1, 4]),
            ],
        ),
        (
            "vae_decoder/config.json",
            &["scaling_factor"],
            vec![json!(0), json!(1e-320), json!(1e308), json!("1")],
        ),
        (
            "vae_decoder/config.json",
            &["shift_factor"],
            vec![json!(1e308), json!("1")],
        ),
        (
            "easel.json",
            &["defaults", "width"],
            vec![json!(0), json!(7), vast.clone(), json!(u32::MAX), json!(-8)],
        ),
        (
            "easel.json",
            &["defaults", "steps"],
            vec![json!(0), vast.clone(), json!(u64::MAX), json!(-1)],
        ),
        (
            "easel.json",
            &["defaults", "guidance"],
            vec![json!(1e308), json!("a")],
        ),
        (
            "easel.json",
            &["defaults", "scheduler"],
            vec![json!("magic"), json!(1)],
        ),
        ("easel.json", &["format"], vec![json!(2), json!(-1)]),
        (
            "scheduler/scheduler_config.json",
            &["num_train_timesteps"],
            vec![json!(0), vast.clone(), json!(-1), json!("a")],
        ),
        (
            "scheduler/scheduler_config.json",
            &["beta_start"],
            vec![json!(1e308), json!("a"), json!([1])],
        ),
        (
            "scheduler/scheduler_config.json",
            &["beta_end"],
            vec![json!(2.0), json!(-1.0)],
        ),
        (
            "scheduler/scheduler_config.json",
            &["prediction_type"],
            vec![json!("magic"), json!(1)],
        ),
        (
            "tokenizer/tokenizer_config.json",
            &["model_max_length"],
            vec![json!(0), json!(-5), json!(2)],
        ),
        (
            "text_encoder/config.json",
            &["max_position_embeddings"],
            vec![json!(0), json!(-5)],
        ),
        (
            "tokenizer/tokenizer_config.json",
            &["bos_token"],
            vec![json!("nobody"), json!(1)],
        ),
    ];
    for (file, place, wrong) in of {
        let whole = micro::configurations()
            .into_iter()
            .find(|(name, _)| *name == file);
        let whole = whole.expect("a file of it").1;
        let place: Vec<String> = place.iter().map(|key| (*key).to_owned()).collect();
        for wrong in wrong {
            let mut changed = whole.clone();
            *reach(&mut changed, &place) = wrong.clone();
            let name = format!("{file}: {} = {wrong}, refused", place.join("."));
            cases.push(with(name, Right::Refused, file, changed.to_string()));
        }
    }
    cases
}
