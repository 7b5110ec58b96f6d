//! What a model cannot do with pictures, told before a job is queued.

use crate::jobs::Order;
use easel::{GivenPictures, PictureAbilities, RequestError};

/// Why a model of these abilities cannot paint this order, as a word and a line; `None`: nothing is known against it.
pub(super) fn refusal(
    abilities: &PictureAbilities,
    order: &Order,
) -> Option<(&'static str, String)> {
    let pictures = &order.pictures;
    let given = GivenPictures {
        image: pictures.image.is_some(),
        mask: pictures.mask.is_some(),
        controls: pictures.controls.len(),
        prompt_picture: pictures.ip_image.is_some(),
    };
    let (code, text) = match abilities.check(&given).err()? {
        RequestError::NoEncoder => (
            "no_encoder",
            "image: this model has no `vae_encoder`, so it cannot begin with a picture: give the board one that has".to_owned(),
        ),
        RequestError::NoControl => ("no_controlnet", few(given.controls, 0)),
        RequestError::FewControlNets { asked, there } => ("no_controlnet", few(asked, there)),
        RequestError::NoImageAdapter => (
            "no_ip_adapter",
            "ip_image: this model has no IP-Adapter: give the board one that has".to_owned(),
        ),
        RequestError::NeedsPicture { missing, .. } => {
            let key = match missing {
                "prompt picture" => "ip_image",
                key => key,
            };
            let text = format!("{key}: this model does not paint without: give one");
            ("needs_picture", text)
        }
        other => ("invalid_image", other.to_string()),
    };
    Some((code, text))
}

fn few(asked: usize, there: usize) -> String {
    let there = match there {
        0 => "no ControlNet".to_owned(),
        1 => "one ControlNet".to_owned(),
        more => format!("{more} ControlNets"),
    };
    format!(
        "control: {asked} asked for, and this model has {there}: give the board one that has more"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::{Hint, OrderControl, OrderPictures, PictureName};
    use easel::NeededPictures;

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
        let plain = PictureAbilities::default();
        let able = PictureAbilities {
            begins: true,
            follows: Some(1),
            likens: true,
            ..plain
        };
        let code = |abilities: &PictureAbilities, pictures: &OrderPictures| {
            refusal(abilities, &order(pictures.clone())).map(|(code, _)| code)
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
        let inpaints = PictureAbilities {
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
