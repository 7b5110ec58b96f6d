//! The pictures that `easel paint` is told: to begin with, to follow, to paint like.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use easel::{Control, PaintRequest, Picture, Pipeline};

use crate::control_pictures::{canny, qr};
use crate::failure::Failure;

/// The flags that name pictures.
#[derive(Args)]
pub(crate) struct PictureArguments {
    /// Begin with this picture, PNG, JPEG or WebP; without --size its shape is kept
    #[arg(long, value_name = "FILE", help_heading = PICTURES)]
    pub(crate) image: Option<PathBuf>,
    /// How much of --image is given up, 0 to 1 [default: 0.8, with --mask 1]
    #[arg(long, value_name = "S", allow_negative_numbers = true, help_heading = PICTURES)]
    strength: Option<f32>,
    /// What of --image is painted anew: white; black stays as it is
    #[arg(long, value_name = "FILE", help_heading = PICTURES)]
    mask: Option<PathBuf>,
    /// With --mask: leave what stays as the model's autoencoder gives it back
    #[arg(long, help_heading = PICTURES)]
    no_paste: bool,
    /// How closely to keep to --image, 1 to 50, of models that change pictures as they are told [default: 1.5]
    #[arg(long, value_name = "G", allow_negative_numbers = true, help_heading = PICTURES)]
    image_guidance: Option<f32>,
    /// Folder of a ControlNet, once for each --control [default: controlnet, controlnet_1 … of the model]
    #[arg(long, value_name = "DIR", help_heading = PICTURES)]
    controlnet: Vec<PathBuf>,
    /// Follow this picture; canny:FILE follows the edges of one, qr:TEXT a code that says TEXT
    #[arg(long, value_name = "[PREPROCESSOR:]FILE", help_heading = PICTURES)]
    control: Vec<ControlSource>,
    /// How much a --control counts, 0 to 2, in their order [default: 1]
    #[arg(long, value_name = "S", allow_negative_numbers = true, help_heading = PICTURES)]
    control_scale: Vec<f32>,
    /// The share of the steps before a --control counts, 0 to 1, in their order [default: 0]
    #[arg(long, value_name = "F", allow_negative_numbers = true, help_heading = PICTURES)]
    control_start: Vec<f32>,
    /// The share of the steps after which a --control does not count, 0 to 1, in their order [default: 1]
    #[arg(long, value_name = "F", allow_negative_numbers = true, help_heading = PICTURES)]
    control_end: Vec<f32>,
    /// Let --control have the say where the prompt has none
    #[arg(long, help_heading = PICTURES)]
    control_guess: bool,
    /// Paint like this picture
    #[arg(long, value_name = "FILE", help_heading = PICTURES)]
    ip_image: Option<PathBuf>,
    /// How much like --ip-image, 0 to 2 [default: 1]
    #[arg(long, value_name = "S", allow_negative_numbers = true, help_heading = PICTURES)]
    ip_scale: Option<f32>,
}

const PICTURES: &str = "Pictures";

/// A picture for a ControlNet, and what is to be made of it before.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ControlSource {
    /// As it is.
    Plain(PathBuf),
    /// Its edges.
    Canny(PathBuf),
    /// A code that says this.
    Qr(String),
}

impl FromStr for ControlSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.split_once(':') {
            Some(("canny" | "qr", "")) => return Err("names nothing behind the colon".to_owned()),
            Some(("canny", file)) => Self::Canny(file.into()),
            Some(("qr", said)) => Self::Qr(said.to_owned()),
            // A name may have a colon in it.
            Some((name, _)) if !Path::new(text).exists() && is_word(name) => {
                return Err(format!(
                    "`{name}` is no preprocessor: canny and qr are, or name a file"
                ));
            }
            _ => Self::Plain(text.into()),
        })
    }
}

fn is_word(name: &str) -> bool {
    name.len() > 1 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl PictureArguments {
    /// The folders of ControlNets.
    pub(crate) fn controlnets(&self) -> Result<Vec<PathBuf>, Failure> {
        let (nets, pictures) = (self.controlnet.len(), self.control.len());
        if nets > 0 && nets != pictures {
            return Err(Failure::Usage(format!(
                "--controlnet: {nets} networks and {pictures} pictures: give a --control for each"
            )));
        }
        for (flag, numbers) in [
            ("--control-scale", &self.control_scale),
            ("--control-start", &self.control_start),
            ("--control-end", &self.control_end),
        ] {
            if numbers.len() > pictures {
                return Err(Failure::Usage(format!(
                    "{flag}: {} numbers and {pictures} pictures: give a --control for each",
                    numbers.len()
                )));
            }
        }
        Ok(self.controlnet.clone())
    }

    /// Fills in all but the pictures.
    pub(crate) fn fill(&self, request: &mut PaintRequest) {
        request.strength = self.strength;
        request.image_guidance = self.image_guidance;
        request.ip_scale = self.ip_scale;
        request.control_guess = self.control_guess;
        request.paste = !self.no_paste;
    }

    /// Reads the pictures. Behind the model, whose memory is measured without them; none stays larger than it is needed.
    pub(crate) fn read(
        &self,
        pipeline: &Pipeline,
        request: &mut PaintRequest,
    ) -> Result<(), Failure> {
        request.image = self.image.as_deref().map(read).transpose()?;
        pipeline.fit_pictures(request);
        request.mask = self.mask.as_deref().map(read).transpose()?;
        pipeline.fit_pictures(request);
        for (number, source) in self.control.iter().enumerate() {
            let size = pipeline.size(request);
            let picture = match source {
                ControlSource::Plain(file) => read(file)?,
                ControlSource::Canny(file) => canny(&fitted(&read(file)?, pipeline, size)),
                ControlSource::Qr(text) => qr(text, size)
                    .map_err(|problem| Failure::Usage(format!("--control: qr: {problem}")))?,
            };
            let number_of = |numbers: &[f32], usual| numbers.get(number).copied().unwrap_or(usual);
            request.controls.push(Control {
                picture,
                scale: number_of(&self.control_scale, 1.0),
                start: number_of(&self.control_start, 0.0),
                end: number_of(&self.control_end, 1.0),
            });
            pipeline.fit_pictures(request);
        }
        request.ip_image = self.ip_image.as_deref().map(read).transpose()?;
        Ok(())
    }
}

fn read(file: &Path) -> Result<Picture, Failure> {
    Ok(Picture::read(file).map_err(easel::Error::from)?)
}

/// At the size that is painted, if that is one.
pub(crate) fn fitted(picture: &Picture, pipeline: &Pipeline, size: (u32, u32)) -> Picture {
    match pipeline.paints(size) {
        true => picture.resized(size).into_owned(),
        false => picture.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_is_a_file_or_what_is_made_of_one() {
        let parsed = |text: &str| text.parse::<ControlSource>();
        assert_eq!(parsed("a.png"), Ok(ControlSource::Plain("a.png".into())));
        assert_eq!(
            parsed("canny:a.png"),
            Ok(ControlSource::Canny("a.png".into()))
        );
        assert_eq!(
            parsed("qr:https://a.b/c"),
            Ok(ControlSource::Qr("https://a.b/c".into()))
        );
        assert_eq!(
            parsed("./x:y.png"),
            Ok(ControlSource::Plain("./x:y.png".into()))
        );
        for wrong in ["canny:", "qr:", "depth:a.png"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
