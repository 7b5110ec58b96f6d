//! What a model can do with pictures, told before a job is queued.

use crate::jobs::{Order, OrderPictures};
use easel::{NeededPictures, Pipeline};

/// What a model can do with pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// Whether it can begin with one.
    pub(crate) begins: bool,
    /// How many it can follow.
    pub(crate) follows: usize,
    /// Whether it can paint like one.
    pub(crate) likens: bool,
    /// Without which it does not paint.
    pub(crate) needs: NeededPictures,
}

impl Abilities {
    pub(crate) fn of(pipeline: &Pipeline) -> Self {
        Self {
            begins: pipeline.takes_pictures(),
            follows: pipeline.controlnets(),
            likens: pipeline.takes_prompt_pictures(),
            needs: pipeline.needed_pictures(),
        }
    }

    /// Why it cannot paint this order, as a word and a line; `None`: nothing is known against it.
    pub(crate) fn refusal(&self, order: &Order) -> Option<(&'static str, String)> {
        let OrderPictures {
            image,
            mask,
            controls,
            ip_image,
            ..
        } = &*order.pictures;
        let needs = |key: &str| {
            Some((
                "needs_picture",
                format!("{key}: this model does not paint without: give one"),
            ))
        };
        if image.is_some() && !self.begins {
            let text = "image: this model has no `vae_encoder`, so it cannot begin with a picture: give the board one that has";
            return Some(("no_encoder", text.to_owned()));
        }
        let asked = controls.len();
        if asked > self.follows {
            let there = match self.follows {
                0 => "no ControlNet".to_owned(),
                1 => "one ControlNet".to_owned(),
                more => format!("{more} ControlNets"),
            };
            let text = format!(
                "control: {asked} asked for, and this model has {there}: give the board one that has more"
            );
            return Some(("no_controlnet", text));
        }
        if ip_image.is_some() && !self.likens {
            let text = "ip_image: this model has no IP-Adapter: give the board one that has";
            return Some(("no_ip_adapter", text.to_owned()));
        }
        match self.needs {
            NeededPictures { image: true, .. } if image.is_none() => needs("image"),
            NeededPictures { mask: true, .. } if mask.is_none() => needs("mask"),
            NeededPictures {
                prompt_picture: true,
                ..
            } if ip_image.is_none() => needs("ip_image"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::{Hint, OrderControl, PictureName};

    #[test]
    fn what_a_model_cannot_do_is_said() {
        let last = || Some(PictureName::in_history("last"));
        let order = |pictures| Order {
            pictures: Box::new(pictures),
            ..Order::new("a cat")
        };
        let control = OrderControl {
            hint: Hint::Qr("x".to_owned()),
            scale: None,
            start: None,
            end: None,
        };
        let none = OrderPictures::default;
        let image = OrderPictures {
            image: last(),
            ..none()
        };
        let controls = OrderPictures {
            controls: vec![control],
            ..none()
        };
        let like = OrderPictures {
            ip_image: last(),
            ..none()
        };
        let plain = Abilities::default();
        let able = Abilities {
            begins: true,
            follows: 1,
            likens: true,
            ..plain
        };
        let code = |abilities: &Abilities, pictures: &OrderPictures| {
            abilities
                .refusal(&order(pictures.clone()))
                .map(|(code, _)| code)
        };
        for (pictures, refused) in [
            (&image, "no_encoder"),
            (&controls, "no_controlnet"),
            (&like, "no_ip_adapter"),
        ] {
            assert_eq!(code(&plain, pictures), Some(refused));
            assert_eq!(code(&able, pictures), None);
        }
        assert_eq!(code(&plain, &none()), None);
        let inpaints = Abilities {
            needs: NeededPictures {
                image: true,
                mask: true,
                ..NeededPictures::default()
            },
            ..able
        };
        for pictures in [&none(), &image] {
            assert_eq!(code(&inpaints, pictures), Some("needs_picture"));
        }
        let both = OrderPictures {
            mask: last(),
            ..image
        };
        assert_eq!(code(&inpaints, &both), None);
    }
}
