use super::*;
use easel::LARGEST_SIDE;
use proptest::prelude::*;

fn json(text: &str) -> Result<PaintCommand, WrongPayload> {
    parse_paint(text.as_bytes())
}

#[test]
fn plain_text_is_a_prompt() {
    let command = json("\u{feff} a blue cat\r\n").expect("it is a prompt");
    assert_eq!(command.order, Order::new("a blue cat"));
    assert_eq!(command.id, None);
    assert_eq!(
        json("[a] weighs less").expect("a prompt").order.prompt,
        "[a] weighs less"
    );
}

#[test]
fn an_object_says_all() {
    let command = json(
        r#"{"prompt":" cat ","negative":"dog","size":"128x64","steps":7,"guidance":2.5,
            "seed":18446744073709551615,"scheduler":"ddim","id":"night-1","ttl_s":60}"#,
    )
    .expect("it is right");
    let order = Order {
        negative: Some("dog".into()),
        size: Some((128, 64)),
        steps: Some(7),
        guidance: Some(2.5),
        seed: Some(u64::MAX),
        scheduler: Some(SchedulerKind::Ddim),
        ..Order::new("cat")
    };
    assert_eq!(command.order, order);
    assert_eq!(command.id.expect("it has one").as_ref(), "night-1");
    assert_eq!(command.ttl, Some(Duration::from_secs(60)));
    let size = json(r#"{"prompt":"x","size":[64,32],"steps":null}"#).expect("it is right");
    assert_eq!((size.order.size, size.order.steps), (Some((64, 32)), None));
}

#[test]
fn numbers_come_as_templates_write_them() {
    let expected = Order {
        size: Some((128, 64)),
        steps: Some(4),
        guidance: Some(3.0),
        seed: Some(42),
        ..Order::new("a cat")
    };
    for fields in [
        r#""steps":4,"guidance":3,"seed":42,"size":[128,64],"ttl_s":60"#,
        r#""steps":4.0,"guidance":3.0,"seed":42.0,"size":[128.0,64.0],"ttl_s":60.0"#,
        r#""steps":"4","guidance":"3","seed":"42","size":["128","64"],"ttl_s":"60""#,
        r#""steps":" 4.0 ","guidance":"3.0","seed":"42.0","size":"128x64","ttl_s":" 60""#,
        r#""steps":"4","guidance":"3","seed":"42","size":"[128, 64]","ttl_s":60,"negative":null,"id":"","scheduler":" ""#,
    ] {
        let command = json(&format!(r#"{{"prompt":"a cat",{fields}}}"#)).expect(fields);
        assert_eq!(command.order, expected, "{fields}");
        assert_eq!(command.ttl, Some(Duration::from_secs(60)), "{fields}");
        assert_eq!(command.id, None, "{fields}");
    }
    let empty = r#"{"prompt":"a cat","steps":"","guidance":null,"seed":"  ","size":"","ttl_s":""}"#;
    let command = json(empty).expect("nothing is given but the prompt");
    assert_eq!((command.order, command.ttl), (Order::new("a cat"), None));
    let seed = |text: &str| json(&format!(r#"{{"prompt":"x","seed":{text}}}"#));
    for largest in ["18446744073709551615", r#""18446744073709551615""#] {
        let order = seed(largest).expect(largest).order;
        assert_eq!(order.seed, Some(u64::MAX), "{largest}");
    }
    // An empty negative prompt is one: it goes before what was set.
    let none = json(r#"{"prompt":"x","negative":""}"#).expect("it is right");
    assert_eq!(none.order.negative.as_deref(), Some(""));
}

#[test]
fn a_json_string_is_its_text() {
    let prompt = |text: &str| json(text).expect(text).order.prompt;
    assert_eq!(prompt(r#""a cat""#), "a cat");
    assert_eq!(prompt(" \"a \\\"blue\\\" cat\\n\" \n"), "a \"blue\" cat");
    // Quoted by somebody who quotes: no JSON.
    assert_eq!(prompt(r#""a cat" in a hat"#), r#""a cat" in a hat"#);
    let twice = json(r#""{\"prompt\": \"a cat\", \"steps\": 4}""#).expect("it was sent twice");
    assert_eq!(
        (twice.order.prompt.as_str(), twice.order.steps),
        ("a cat", Some(4))
    );
    assert_eq!(json(r#""""#).expect_err("empty").code, "empty_prompt");
}

#[test]
fn what_is_no_json_is_named_by_the_key_before_it() {
    for (text, key) in [
        (r#"{"prompt":"x","steps":NaN}"#, "at steps"),
        (
            "{\"prompt\":\"ä\",\n \"guidance\": -Infinity}",
            "at guidance",
        ),
        (r#"{"prompt":"x","seed":1e999}"#, "at seed"),
        (r#"{prompt:"x"}"#, "no JSON object: "),
    ] {
        let wrong = json(text).expect_err(text);
        assert_eq!(wrong.code, "invalid_json");
        assert!(wrong.text.contains(key), "{text}: {wrong}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (text, code, says) in [
        ("", "empty_prompt", "say what to paint"),
        (" \n", "empty_prompt", "prompt"),
        ("{", "invalid_json", "JSON"),
        (r#"{"prompt":""}"#, "empty_prompt", "prompt"),
        (r#"{"size":"1x1"}"#, "invalid_prompt", "missing"),
        (r#"{"prompt":3}"#, "invalid_prompt", "no text"),
        (r#"{"prompt":"x","colour":1}"#, "unknown_key", "colour"),
        (
            r#"{"prompt":"x","negative":1}"#,
            "invalid_negative",
            "negative",
        ),
        (r#"{"prompt":"x","size":"big"}"#, "invalid_size", "size"),
        (r#"{"prompt":"x","size":[64]}"#, "invalid_size", "size"),
        (r#"{"prompt":"x","size":"0x64"}"#, "invalid_size", "8192"),
        (r#"{"prompt":"x","size":"64x8193"}"#, "invalid_size", "8192"),
        (r#"{"prompt":"x","steps":0}"#, "invalid_steps", "1000"),
        (r#"{"prompt":"x","steps":1001}"#, "invalid_steps", "1000"),
        (r#"{"prompt":"x","steps":1.5}"#, "invalid_steps", "1000"),
        (r#"{"prompt":"x","steps":"4.5"}"#, "invalid_steps", "steps"),
        (r#"{"prompt":"x","steps":-4}"#, "invalid_steps", "steps"),
        (r#"{"prompt":"x","steps":"NaN"}"#, "invalid_steps", "steps"),
        (r#"{"prompt":"x","steps":true}"#, "invalid_steps", "steps"),
        (
            r#"{"prompt":"x","guidance":"inf"}"#,
            "invalid_guidance",
            "guidance",
        ),
        (
            r#"{"prompt":"x","seed":18446744073709551616}"#,
            "invalid_seed",
            "2^64-1",
        ),
        (r#"{"prompt":"x","seed":0.5}"#, "invalid_seed", "seed"),
        (r#"{"prompt":"x","ttl_s":1.5}"#, "invalid_ttl", "ttl_s"),
        (r#"{"prompt":"x","size":[64,-1]}"#, "invalid_size", "size"),
        (r#"{"prompt":"x","guidance":-1}"#, "invalid_guidance", "50"),
        (r#"{"prompt":"x","guidance":51}"#, "invalid_guidance", "50"),
        (r#"{"prompt":"x","seed":-1}"#, "invalid_seed", "seed"),
        (
            r#"{"prompt":"x","scheduler":"magic"}"#,
            "invalid_scheduler",
            "ddim",
        ),
        (r#"{"prompt":"x","id":"a/b"}"#, "invalid_id", "letters"),
        (r#"{"prompt":"x","ttl_s":0}"#, "invalid_ttl", "ttl_s"),
        (r#"{"prompt":"x","ttl_s":99999999}"#, "invalid_ttl", "ttl_s"),
        (r#"{"prompt":"a\u0000b"}"#, "invalid_prompt", "zero"),
    ] {
        let wrong = json(text).expect_err(text);
        assert_eq!(wrong.code, code, "{text}: {wrong}");
        assert!(
            wrong.text.contains(says) && !wrong.text.contains('\n'),
            "{wrong}"
        );
    }
    assert_eq!(
        parse_paint(b"ab\xff").expect_err("no UTF-8").code,
        "invalid_utf8"
    );
    let long = "x".repeat(LONGEST_PROMPT + 1);
    assert_eq!(json(&long).expect_err("it is long").code, "prompt_too_long");
    assert!(json(&long[1..]).is_ok());
}

#[test]
fn a_wrong_order_is_answered_under_its_id() {
    let wrong = json(r#"{"id":"mine","prompt":"x","steps":0}"#).expect_err("no steps");
    assert_eq!(wrong.id.expect("it was read").as_ref(), "mine");
}

#[test]
fn settings_are_typed() {
    for (name, value, setting) in [
        ("kiosk", "ON", Setting::Kiosk(true)),
        ("kiosk", "off", Setting::Kiosk(false)),
        ("night", "1", Setting::Night(true)),
        (
            "interval",
            "300",
            Setting::Interval(Duration::from_secs(300)),
        ),
        (
            "interval",
            "300.0",
            Setting::Interval(Duration::from_secs(300)),
        ),
        ("rotation", "90", Setting::Rotation(90)),
        ("brightness", "50", Setting::Brightness(0.5)),
        ("steps", "20", Setting::Steps(Some(20))),
        ("steps", "default", Setting::Steps(None)),
        ("steps", " 4.0 \n", Setting::Steps(Some(4))),
        ("steps", "\"4\"", Setting::Steps(Some(4))),
        ("steps", "null", Setting::Steps(None)),
        ("guidance", "\" 3 \"", Setting::Guidance(Some(3.0))),
        ("prompt", "\"a cat\"", Setting::Prompt("a cat".into())),
        ("guidance", "7.5", Setting::Guidance(Some(7.5))),
        (
            "scheduler",
            "euler",
            Setting::Scheduler(Some(SchedulerKind::Euler)),
        ),
        ("scheduler", "", Setting::Scheduler(None)),
        ("style", "Oil", Setting::Style(Some("Oil".into()))),
        ("prompt", " a cat ", Setting::Prompt("a cat".into())),
        ("negative", "", Setting::Negative(String::new())),
    ] {
        assert_eq!(
            parse_set(name, value.as_bytes()).expect(name),
            setting,
            "{name} {value}"
        );
    }
    for (name, value) in [
        ("kiosk", "perhaps"),
        ("interval", "9"),
        ("interval", "1.5"),
        ("interval", "NaN"),
        ("rotation", "45"),
        ("brightness", "101"),
        ("brightness", "-1"),
        ("steps", "0"),
        ("steps", "4.5"),
        ("steps", "-4"),
        ("guidance", "NaN"),
        ("guidance", "inf"),
        ("scheduler", "magic"),
        ("colour", "red"),
    ] {
        let wrong = parse_set(name, value.as_bytes()).expect_err(name);
        assert!(wrong.text.contains(name), "{wrong}");
    }
    for name in Setting::NAMES {
        let unknown = parse_set(name, b"\xff").expect_err("no UTF-8").code == "unknown_setting";
        assert!(!unknown, "{name}");
    }
}

#[test]
fn cancel_and_show() {
    assert_eq!(parse_cancel(b" "), Ok(None));
    assert_eq!(
        parse_cancel(b"a-1")
            .expect("an id")
            .expect("an id")
            .as_ref(),
        "a-1"
    );
    assert!(parse_cancel(b"../x").is_err() && parse_cancel(b"\xff").is_err());
    assert_eq!(parse_cancel(b"\"\""), Ok(None));
    assert!(matches!(parse_cancel(b"\"a-1\""), Ok(Some(id)) if id.as_ref() == "a-1"));
    assert_eq!(parse_show(b"next"), Ok(Show::Next));
    assert_eq!(parse_show(b"previous\n"), Ok(Show::Previous));
    assert!(matches!(parse_show(b"a-1"), Ok(Show::Id(id)) if id.as_ref() == "a-1"));
    assert!(parse_show(b"").is_err() && parse_show(b"\xff").is_err());
}

proptest! {
    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), name in ".{0,20}") {
        if let Ok(command) = parse_paint(&bytes) {
            prop_assert!(!command.order.prompt.is_empty());
        }
        let _ = parse_set(&name, &bytes);
        for name in Setting::NAMES {
            let _ = parse_set(name, &bytes);
        }
        let _ = (parse_cancel(&bytes), parse_show(&bytes));
    }

    #[test]
    fn whatever_is_taken_can_be_painted(
        key in "(size|steps|guidance|seed|ttl_s|scheduler|id|other)",
        value in "(-?[0-9]{1,6}(\\.[0-9]{1,3})?|\"[a-z0-9x-]{0,8}\"|null|true|\\[[0-9]{1,4},[0-9]{1,4}\\])",
    ) {
        if let Ok(command) = json(&format!(r#"{{"prompt":"x","{key}":{value}}}"#)) {
            let order = command.order;
            prop_assert!(order.steps.is_none_or(|steps| (1..=1000).contains(&steps)));
            prop_assert!(order.guidance.is_none_or(|guidance| (0.0..=50.0).contains(&guidance)));
            prop_assert!(order.size.is_none_or(|(w, h)| w > 0 && h > 0 && w.max(h) <= LARGEST_SIDE));
        }
    }
}
