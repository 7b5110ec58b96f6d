use super::*;
use crate::mqtt::payload::{PaintCommand, parse_paint};
use image::{ImageFormat, RgbImage};
use proptest::prelude::*;

/// A file of this format in base64.
fn file(format: ImageFormat, width: u32, height: u32) -> (Vec<u8>, String) {
    let mut bytes = Cursor::new(Vec::new());
    let picture = RgbImage::from_pixel(width, height, image::Rgb([200, 30, 60]));
    picture.write_to(&mut bytes, format).expect("it is written");
    let bytes = bytes.into_inner();
    let text = STANDARD_PAD_INDIFFERENT.encode(&bytes);
    (bytes, text)
}

fn order(fields: &str) -> Result<PaintCommand, WrongPayload> {
    parse_paint(format!(r#"{{"prompt":"a cat","id":"x",{fields}}}"#).as_bytes())
}

#[test]
fn a_picture_is_one_of_the_history_or_comes_along() {
    let (bytes, text) = file(ImageFormat::Png, 4, 4);
    let broken = format!("{}\\n{}", &text[..8], &text[8..]);
    let unpadded = text.trim_end_matches('=').to_owned();
    let url = format!("data:image/png;base64,{text}");
    for data in [&text, &broken, &unpadded, &url] {
        let command = order(&format!(r#""image":{{"data":"{data}"}},"strength":"0.5""#));
        let command = command.expect(data);
        assert_eq!(*command.pictures[0].bytes, *bytes);
        let name = PictureName::of(&command.pictures[0]);
        let pictures = command.order.pictures;
        assert_eq!((pictures.image, pictures.strength), (Some(name), Some(0.5)));
    }
    let command = order(r#""image":{"history":"night-7"},"mask":{"history":"last"},"strength":1"#);
    let command = command.expect("it is right");
    assert!(command.pictures.is_empty());
    let names: Vec<_> = command.order.pictures.names().cloned().collect();
    assert_eq!(names, ["night-7", "last"].map(PictureName::in_history));
    for empty in [
        r#""image":null,"mask":"","control":[]"#,
        r#""control":"","ip_scale":"""#,
    ] {
        let command = order(empty).expect("a form with empty fields");
        assert!(command.order.pictures.is_empty());
    }
}

#[test]
fn controls_come_alone_or_in_a_list() {
    let (_, text) = file(ImageFormat::Jpeg, 8, 8);
    let fields = format!(
        r#""control":[{{"image":{{"data":"{text}"}},"preprocessor":"canny","scale":"0.8","start":0,"end":0.5}},
            {{"preprocessor":"qr","text":"https://easel.example"}}],
        "ip_image":{{"history":"last"}},"ip_scale":0.7,"clip_skip":"1","guidance_rescale":0.7"#
    );
    let command = order(&fields).expect("it is right");
    let pictures = &command.order.pictures;
    assert_eq!(pictures.controls.len(), 2);
    let first = &pictures.controls[0];
    assert!(matches!(first.hint, Hint::Canny(_)) && first.scale == Some(0.8));
    assert_eq!((first.start, first.end), (Some(0.0), Some(0.5)));
    let code = Hint::Qr("https://easel.example".to_owned());
    assert_eq!(pictures.controls[1].hint, code);
    assert_eq!(
        (command.order.clip_skip, command.order.guidance_rescale),
        (Some(1), Some(0.7))
    );
    let one = order(r#""control":{"image":{"history":"last"}}"#).expect("it is right");
    assert!(matches!(
        one.order.pictures.controls[..],
        [OrderControl {
            hint: Hint::Plain(_),
            ..
        }]
    ));
}

#[test]
fn what_is_wrong_is_said_and_whose_it_is() {
    let gif = STANDARD_PAD_INDIFFERENT.encode(b"GIF89a and more");
    let (png, text) = file(ImageFormat::Png, 4, 4);
    let cut = STANDARD_PAD_INDIFFERENT.encode(&png[..png.len() / 2]);
    let (_, bomb) = file(ImageFormat::Png, 8192, 4096);
    let large = "A".repeat(LARGEST_PICTURE / 3 * 4 + 100);
    let data = |key: &str, data: &str| format!(r#""{key}":{{"data":"{data}"}}"#);
    let control = |more: &str| format!(r#""control":{{"image":{{"history":"last"}},{more}}}"#);
    for (fields, code, says) in [
        (data("image", "%%%"), "invalid_image", "no base64"),
        (data("image", &gif), "invalid_image", "a GIF"),
        (data("image", ""), "invalid_image", "is empty"),
        (data("image", &cut), "invalid_image", "damaged PNG"),
        (data("image", &bomb), "invalid_image", "at most 16 million"),
        (data("image", &large), "invalid_image", "8 MiB"),
        (data("mask", &text), "invalid_mask", "no image"),
        (r#""image":"last""#.into(), "invalid_image", "history"),
        (
            r#""image":{"history":"a/b"}"#.into(),
            "invalid_image",
            "history",
        ),
        (
            r#""image":{"history":"a","data":"b"}"#.into(),
            "invalid_image",
            "history",
        ),
        (r#""strength":0.5"#.into(), "invalid_strength", "no image"),
        (
            r#""image":{"history":"a"},"strength":1.5"#.into(),
            "invalid_strength",
            "0 to 1",
        ),
        (
            r#""image":{"history":"a"},"strength":"NaN""#.into(),
            "invalid_strength",
            "0 to 1",
        ),
        (r#""ip_scale":1"#.into(), "invalid_ip_scale", "no ip_image"),
        (
            r#""ip_image":{"history":"a"},"ip_scale":3"#.into(),
            "invalid_ip_scale",
            "0 to 2",
        ),
        (r#""control":7"#.into(), "invalid_control", "an object"),
        (
            r#""control":{"preprocessor":"qr"}"#.into(),
            "invalid_control",
            "a text",
        ),
        (
            control(r#""preprocessor":"depth""#),
            "invalid_control",
            "canny",
        ),
        (control(r#""scale":-1"#), "invalid_control", "0 to 2"),
        (
            control(r#""start":0.5,"end":"0.5""#),
            "invalid_control",
            "less than end",
        ),
        (control(r#""colour":1"#), "unknown_key", "colour"),
        (r#""clip_skip":65"#.into(), "invalid_clip_skip", "0 to 64"),
        (
            r#""guidance_rescale":2"#.into(),
            "invalid_guidance_rescale",
            "0 to 1",
        ),
    ] {
        let wrong = order(&fields).expect_err(code);
        let shown: String = fields.chars().take(80).collect();
        assert_eq!(wrong.code, code, "{shown}: {wrong}");
        assert!(wrong.text.contains(says), "{shown}: {wrong}");
        assert!(wrong.text.len() < 300, "{wrong}");
        assert_eq!(wrong.id.expect("its own").as_ref(), "x");
    }
}

proptest! {
    #[test]
    fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200) {
        let (mut picture, _) = file(ImageFormat::Png, 4, 4);
        picture.truncate(cut);
        picture.extend(bytes);
        let text = STANDARD_PAD_INDIFFERENT.encode(&picture);
        if let Ok(command) = order(&format!(r#""image":{{"data":"{text}"}}"#)) {
            prop_assert!(command.pictures[0].name.is_of(&picture));
        }
    }
}
