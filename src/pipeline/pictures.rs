//! What a model can do with pictures, and those that it cannot do without.

use super::Pipeline;
use crate::model_dir::BesideLatents;
use crate::request::{PaintRequest, RequestError};
use crate::stages::{Encoder, IMAGE_EMBEDS, IMAGE_SCALE, ImageEncoder};

/// What a model can do with pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PictureAbilities {
    /// Whether it can begin with one.
    pub begins: bool,
    /// How many it can follow; `None`: its denoiser takes nothing from a ControlNet.
    pub follows: Option<usize>,
    /// Whether it can paint like one.
    pub likens: bool,
    /// Those without which it does not paint.
    pub needs: NeededPictures,
}

/// Pictures without which a model does not paint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NeededPictures {
    /// One to begin with.
    pub image: bool,
    /// What of it is painted anew.
    pub mask: bool,
    /// One to paint like.
    pub prompt_picture: bool,
}

/// The pictures that somebody brings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GivenPictures {
    /// One to begin with.
    pub image: bool,
    /// What of it is painted anew.
    pub mask: bool,
    /// Those to follow.
    pub controls: usize,
    /// One to paint like.
    pub prompt_picture: bool,
}

impl PictureAbilities {
    /// # Errors
    /// What the model cannot do with these pictures, or which it lacks.
    pub fn check(&self, given: &GivenPictures) -> Result<(), RequestError> {
        self.check_given(given)?;
        let needs = |missing, kind, advice| {
            Err(RequestError::NeedsPicture {
                missing,
                kind,
                advice,
            })
        };
        let inpaints = |missing| {
            needs(
                missing,
                "was made for inpainting",
                "a picture and a mask that is white where it is to be painted anew (`--image`, `--mask`)",
            )
        };
        let needed = &self.needs;
        match (needed.image && !given.image, needed.mask && !given.mask) {
            (true, _) if needed.mask => inpaints("image"),
            (true, _) => needs(
                "image",
                "changes pictures as it is told",
                "the picture to change (`--image`)",
            ),
            (_, true) => inpaints("mask"),
            _ if needed.prompt_picture && !given.prompt_picture => needs(
                "prompt picture",
                "was exported to paint like one, always",
                "one (`--ip-image`)",
            ),
            _ => Ok(()),
        }
    }

    /// [`check`](Self::check) of what is given alone.
    pub(super) fn check_given(&self, given: &GivenPictures) -> Result<(), RequestError> {
        if given.image && !self.begins {
            return Err(RequestError::NoEncoder);
        }
        match self.follows {
            None if given.controls > 0 => return Err(RequestError::NoControl),
            Some(there) if given.controls > there => {
                let asked = given.controls;
                return Err(RequestError::FewControlNets { asked, there });
            }
            _ => {}
        }
        if given.prompt_picture && !self.likens {
            return Err(RequestError::NoImageAdapter);
        }
        Ok(())
    }
}

impl From<&PaintRequest> for GivenPictures {
    fn from(request: &PaintRequest) -> Self {
        Self {
            image: request.image.is_some(),
            mask: request.mask.is_some(),
            controls: request.controls.len(),
            prompt_picture: request.ip_image.is_some(),
        }
    }
}

impl Pipeline {
    /// What the model can do with pictures.
    #[must_use]
    pub fn picture_abilities(&self) -> PictureAbilities {
        let takes = |name| self.denoiser.step().takes(name);
        let is_controlled = !self.denoiser.residuals().is_empty();
        PictureAbilities {
            begins: self.decoder.is_none() || Encoder::is_in(&self.dir),
            follows: is_controlled.then(|| {
                let numbers = 0..;
                let there = numbers.take_while(|number| self.controlnet_dir(*number).is_some());
                there.count()
            }),
            likens: takes(IMAGE_EMBEDS) && ImageEncoder::is_in(&self.dir),
            needs: NeededPictures {
                image: self.model.beside != BesideLatents::Nothing,
                mask: self.model.beside == BesideLatents::Masked,
                // It was exported so that it does nothing else.
                prompt_picture: takes(IMAGE_EMBEDS) && !takes(IMAGE_SCALE),
            },
        }
    }
}
