//! What a picture was painted from, as text within its file.
//!
//! The form is that of AUTOMATIC1111's web interface, which other programs read, too: the prompt, a line with the negative prompt, a
//! line of settings, under the keyword `parameters`.

use std::fmt;

use crate::scheduler::SchedulerKind;

/// What a picture was painted from.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters<'a> {
    /// What was to be painted.
    pub prompt: &'a str,
    /// What the model was given for it, if that is not the same.
    pub painted: Option<&'a str>,
    /// What was to be kept out; empty for nothing.
    pub negative: &'a str,
    /// Denoising steps.
    pub steps: usize,
    /// Sampling method.
    pub scheduler: Option<SchedulerKind>,
    /// Guidance scale.
    pub guidance: f32,
    /// All randomness came from this.
    pub seed: u64,
    /// Width and height, pixels.
    pub size: (u32, u32),
    /// The model's name.
    pub model: &'a str,
}

impl fmt::Display for Parameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", line(self.prompt))?;
        if !self.negative.trim().is_empty() {
            writeln!(f, "Negative prompt: {}", line(self.negative))?;
        }
        write!(f, "Steps: {}, ", self.steps)?;
        if let Some(scheduler) = self.scheduler {
            write!(f, "Sampler: {}, ", sampler(scheduler))?;
        }
        let (width, height) = self.size;
        write!(
            f,
            "CFG scale: {}, Seed: {}, Size: {width}x{height}, Model: {}, ",
            self.guidance,
            self.seed,
            value(self.model),
        )?;
        if let Some(painted) = self.painted {
            write!(f, "Painted prompt: {}, ", value(painted))?;
        }
        write!(f, "Version: easel {}", env!("CARGO_PKG_VERSION"))
    }
}

/// A prompt on one line: the lines after it are told by how they begin.
fn line(text: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.replace(breaks, " ").trim().to_owned()
}

/// A value between commas: in quotes, as JSON has them, where it could be taken for more than one.
fn value(text: &str) -> String {
    let text = line(text);
    if text.contains([',', ':', '"']) {
        serde_json::Value::from(text).to_string()
    } else {
        text
    }
}

/// What others call it.
fn sampler(kind: SchedulerKind) -> &'static str {
    match kind {
        SchedulerKind::Ddpm => "DDPM",
        SchedulerKind::Ddim => "DDIM",
        SchedulerKind::Euler | SchedulerKind::FlowEuler => "Euler",
        SchedulerKind::EulerAncestral => "Euler a",
        SchedulerKind::Dpmpp2m => "DPM++ 2M",
        SchedulerKind::Dpmpp2mKarras => "DPM++ 2M Karras",
        SchedulerKind::DpmppSde => "DPM++ 2M SDE",
        SchedulerKind::Lcm => "LCM",
        SchedulerKind::Unipc => "UniPC",
        SchedulerKind::Deis => "DEIS",
        SchedulerKind::Heun => "Heun",
        SchedulerKind::Lms => "LMS",
        SchedulerKind::Kdpm2 => "DPM2",
        SchedulerKind::Kdpm2Ancestral => "DPM2 a",
        SchedulerKind::Dpmpp2s => "DPM++ 2S",
        SchedulerKind::Dpmpp2sSde => "DPM++ 2S SDE",
        SchedulerKind::Tcd => "TCD",
        SchedulerKind::Pndm => "PLMS",
    }
}

/// The keyword of the chunk.
const KEYWORD: &[u8] = b"parameters";
/// Where chunks may be put in: behind the signature and the header (PNG specification, third edition, 5.3 and 11.2.1).
const BEHIND_HEADER: usize = 8 + 4 + 4 + 13 + 4;

/// Puts the parameters into a PNG: `tEXt`, or `iTXt` where they are more than ASCII (11.3.3).
pub(super) fn put_into(png: &mut Vec<u8>, parameters: &Parameters<'_>) {
    let text = parameters.to_string();
    let (kind, between): (&[u8; 4], &[u8]) = match text.is_ascii() {
        true => (b"tEXt", b"\0"),
        // Not compressed; no language, no translated keyword.
        false => (b"iTXt", b"\0\0\0\0\0"),
    };
    let data = [KEYWORD, between, text.as_bytes()].concat();
    let checked = [&kind[..], &data].concat();
    let mut chunk = (data.len() as u32).to_be_bytes().to_vec();
    chunk.extend_from_slice(&checked);
    chunk.extend(crc32fast::hash(&checked).to_be_bytes());
    png.splice(BEHIND_HEADER..BEHIND_HEADER, chunk);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Picture;
    use proptest::prelude::*;

    fn of<'a>(prompt: &'a str, negative: &'a str) -> Parameters<'a> {
        Parameters {
            prompt,
            painted: None,
            negative,
            steps: 10,
            scheduler: Some(SchedulerKind::EulerAncestral),
            guidance: 2.5,
            seed: u64::MAX,
            size: (2, 1),
            model: "pocket",
        }
    }

    /// The text chunks of a PNG, by the rules of the specification: kind and data of each.
    fn texts(png: &[u8]) -> Vec<([u8; 4], Vec<u8>)> {
        let mut rest = &png[8..];
        let mut texts = Vec::new();
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let (checked, behind) = behind.split_at(4 + length);
            let (sum, behind) = behind.split_first_chunk::<4>().expect("a checksum");
            assert_eq!(u32::from_be_bytes(*sum), crc32fast::hash(checked));
            let kind = *checked.first_chunk::<4>().expect("a kind");
            if kind[1..] == *b"EXt" || kind[1..] == *b"TXt" {
                texts.push((kind, checked[4..].to_vec()));
            }
            rest = behind;
        }
        texts
    }

    fn png(parameters: &Parameters<'_>) -> Vec<u8> {
        let picture = Picture {
            width: 2,
            height: 1,
            rgb: vec![1, 2, 3, 4, 5, 6],
        };
        let png = picture.png(Some(parameters)).expect("it fits");
        let read = image::load_from_memory(&png).expect("a PNG").into_rgb8();
        assert_eq!(read.into_raw(), picture.rgb);
        png
    }

    #[test]
    fn settings_are_in_the_file_as_others_read_them() {
        let texts_of = |prompt, negative| texts(&png(&of(prompt, negative)));
        let settings = format!(
            "Steps: 10, Sampler: Euler a, CFG scale: 2.5, Seed: 18446744073709551615, Size: 2x1, Model: pocket, Version: easel {}",
            env!("CARGO_PKG_VERSION")
        );
        let wanted = format!("parameters\0a red cat\nNegative prompt: dogs\n{settings}");
        assert_eq!(
            texts_of("a red cat", "dogs"),
            [(*b"tEXt", wanted.into_bytes())]
        );
        let wanted = format!("parameters\0\0\0\0\0ein Kätzchen 🐱\n{settings}");
        assert_eq!(
            texts_of("ein Kätzchen 🐱", " "),
            [(*b"iTXt", wanted.into_bytes())]
        );
    }

    #[test]
    fn a_model_with_commas_is_one_value() {
        let mut parameters = of("a", "");
        parameters.model = "x, Seed: 1";
        let text = parameters.to_string();
        assert!(text.contains(r#"Model: "x, Seed: 1", Version"#), "{text}");
    }

    proptest! {
        /// No prompt can pass for settings, or break the file.
        #[test]
        fn any_prompt_is_one_line(prompt in any::<String>(), more in "(\n|\r|\0|\u{2028}|Steps: 1|Negative prompt: ){0,6}") {
            let prompt = prompt + &more;
            let file = png(&of(&prompt, &more));
            let texts = texts(&file);
            prop_assert_eq!(texts.len(), 1);
            let start = if texts[0].0 == *b"tEXt" { 11 } else { 15 };
            let text = std::str::from_utf8(&texts[0].1[start..]).expect("UTF-8");
            prop_assert!(!text.contains('\0'));
            let lines: Vec<&str> = text.split('\n').collect();
            prop_assert!((2..=3).contains(&lines.len()), "{:?}", lines);
            prop_assert!(lines[lines.len() - 1].starts_with("Steps: 10, "));
        }
    }
}
