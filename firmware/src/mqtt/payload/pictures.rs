//! The pictures of a JSON order: named in the history, or sent along as base64.

use super::{WrongPayload, given};
use crate::fields::{self, Number};
use crate::jobs::{Hint, LARGEST_PICTURE, NewPicture, OrderControl, OrderPictures, PictureName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use easel::Picture;
use image::ImageReader;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::io::Cursor;

/// Pixels of a picture: a telephone's are 12 million. It is decoded beside whatever is being painted, on boards with little memory.
const MOST_PIXELS: u64 = 16 << 20;
/// ControlNets that follow something at once; no model has as many.
const MOST_CONTROLS: usize = 8;
/// Bytes of a code's text: more than fits into any.
const LONGEST_CODE: usize = 4096;

/// How a picture is said.
const FORM: &str = r#"give {"history": ID or "last"}, or {"data": a PNG, JPEG or WebP in base64}"#;

/// Reads the keys that are about pictures. The files that came along are the second.
pub(super) fn read(
    object: &Map<String, Value>,
) -> Result<(OrderPictures, Vec<NewPicture>), WrongPayload> {
    let mut files = Vec::new();
    let mut picture = |key: &'static str| {
        let value = given(object, key);
        value.map(|value| named(key, value, &mut files)).transpose()
    };
    let image = picture("image")?;
    let mask = picture("mask")?;
    let ip_image = picture("ip_image")?;
    let share = |key, most: f64| number(object, key, key, most);
    let pictures = OrderPictures {
        strength: share("strength", 1.0)?,
        ip_scale: share("ip_scale", 2.0)?,
        controls: controls(object, &mut files)?,
        image,
        mask,
        ip_image,
    };
    for (key, is_given, other, is_there) in [
        (
            "strength",
            pictures.strength.is_some(),
            "image",
            pictures.image.is_some(),
        ),
        (
            "mask",
            pictures.mask.is_some(),
            "image",
            pictures.image.is_some(),
        ),
        (
            "ip_scale",
            pictures.ip_scale.is_some(),
            "ip_image",
            pictures.ip_image.is_some(),
        ),
    ] {
        if is_given && !is_there {
            return Err(wrong(
                key,
                &format!("there is no {other} that it could be about: give one"),
            ));
        }
    }
    Ok((pictures, files))
}

fn wrong(key: &str, text: &str) -> WrongPayload {
    let code = match key.split('.').next().unwrap_or(key) {
        "image" => "invalid_image",
        "mask" => "invalid_mask",
        "strength" => "invalid_strength",
        "ip_image" => "invalid_ip_image",
        "ip_scale" => "invalid_ip_scale",
        _ => "invalid_control",
    };
    WrongPayload::new(code, format!("{key}: {text}"))
}

/// A number from 0 to `most`, if there is one; `name` is what it is called in an answer.
fn number(
    object: &Map<String, Value>,
    key: &str,
    name: &str,
    most: f64,
) -> Result<Option<f32>, WrongPayload> {
    let Some(value) = given(object, key) else {
        return Ok(None);
    };
    let number = Number::of(value).and_then(|number| number.share(most));
    number
        .map(Some)
        .ok_or_else(|| wrong(name, &fields::up_to(most)))
}

/// A picture by its name in the history, or one that came along.
fn named(
    key: &str,
    value: &Value,
    files: &mut Vec<NewPicture>,
) -> Result<PictureName, WrongPayload> {
    let object = value.as_object().filter(|object| object.len() == 1);
    let object = object.ok_or_else(|| wrong(key, FORM))?;
    let text = |name| object.get(name).and_then(Value::as_str).map(str::trim);
    match (text("history"), text("data")) {
        (Some(name), _) if name.parse::<crate::jobs::JobId>().is_ok() => {
            Ok(PictureName::in_history(name))
        }
        (_, Some(data)) => {
            let picture = decoded(data).map_err(|problem| wrong(key, &problem))?;
            let name = PictureName::of(&picture);
            files.push(picture);
            Ok(name)
        }
        _ => Err(wrong(key, FORM)),
    }
}

/// The file in base64, looked through: what is kept can be painted from.
fn decoded(data: &str) -> Result<NewPicture, String> {
    // As browsers write it.
    let data = match data
        .strip_prefix("data:")
        .and_then(|url| url.split_once(','))
    {
        Some((kind, data)) if kind.ends_with(";base64") => data,
        _ => data,
    };
    // `base64` breaks its lines.
    let data: Cow<str> = match data.contains(char::is_whitespace) {
        true => data.split_whitespace().collect::<String>().into(),
        false => data.into(),
    };
    if data.len() / 4 * 3 > LARGEST_PICTURE + 2 {
        let mib = LARGEST_PICTURE >> 20;
        return Err(format!("is larger than {mib} MiB: make it smaller"));
    }
    let bytes = STANDARD_PAD_INDIFFERENT
        .decode(data.as_bytes())
        .map_err(|error| format!("is no base64: {error}"))?;
    // Without decoding: a small file may become any number of pixels.
    let size = ImageReader::new(Cursor::new(&bytes)).with_guessed_format();
    let size = size.ok().and_then(|reader| reader.into_dimensions().ok());
    if let Some((width, height)) = size
        && u64::from(width) * u64::from(height) > MOST_PIXELS
    {
        let most = MOST_PIXELS >> 20;
        return Err(format!(
            "{width}x{height} pixels: a board takes at most {most} million: make it smaller"
        ));
    }
    Picture::decode(&bytes).map_err(|error| error.to_string())?;
    Ok(NewPicture::new(bytes))
}

/// One or a list.
fn controls(
    object: &Map<String, Value>,
    files: &mut Vec<NewPicture>,
) -> Result<Vec<OrderControl>, WrongPayload> {
    let list = match given(object, "control") {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    if list.len() > MOST_CONTROLS {
        return Err(wrong("control", &format!("give at most {MOST_CONTROLS}")));
    }
    list.iter().map(|value| control(value, files)).collect()
}

fn control(value: &Value, files: &mut Vec<NewPicture>) -> Result<OrderControl, WrongPayload> {
    const KEYS: [&str; 6] = ["image", "preprocessor", "text", "scale", "start", "end"];
    let object = value
        .as_object()
        .ok_or_else(|| wrong("control", "give an object with an image, or a list of them"))?;
    if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let key: String = key.chars().take(40).collect();
        let text = format!("control.{key}: unknown key: use {}", KEYS.join(", "));
        return Err(WrongPayload::new("unknown_key", text));
    }
    let image = given(object, "image")
        .map(|value| named("control.image", value, files))
        .transpose()?;
    let text = given(object, "text").map(|value| value.as_str().map(str::trim));
    let preprocessor = given(object, "preprocessor").map(|value| value.as_str().map(str::trim));
    let hint = match (preprocessor, image, text) {
        (None, Some(image), None) => Hint::Plain(image),
        (Some(Some("canny")), Some(image), None) => Hint::Canny(image),
        (Some(Some("qr")), None, Some(Some(text))) if text.len() <= LONGEST_CODE => {
            Hint::Qr(text.to_owned())
        }
        _ => {
            let advice = r#"give an image, an image with the preprocessor "canny", or the preprocessor "qr" with a text"#;
            return Err(wrong("control", advice));
        }
    };
    let number = |key, name, most| number(object, key, name, most);
    let (start, end) = (
        number("start", "control.start", 1.0)?,
        number("end", "control.end", 1.0)?,
    );
    if start.unwrap_or(0.0) >= end.unwrap_or(1.0) {
        return Err(wrong("control.start", "give less than end"));
    }
    Ok(OrderControl {
        hint,
        scale: number("scale", "control.scale", 2.0)?,
        start,
        end,
    })
}

#[cfg(test)]
#[path = "pictures_tests.rs"]
mod tests;
