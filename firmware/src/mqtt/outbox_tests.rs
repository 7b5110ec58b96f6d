use super::*;

fn message(topic: &str, payload: &str) -> Message {
    Message {
        topic: topic.into(),
        payload: payload.into(),
        ..Message::default()
    }
}

/// What is sent now, until nothing is left to send.
fn sent(outbox: &mut Outbox) -> Vec<(Number, String)> {
    std::iter::from_fn(|| outbox.send())
        .map(|(number, message)| (number, String::from_utf8(message.payload).expect("text")))
        .collect()
}

fn payloads(sent: &[(Number, String)]) -> Vec<&str> {
    sent.iter().map(|(_, payload)| payload.as_str()).collect()
}

#[test]
fn what_was_put_in_first_goes_out_first() {
    let mut outbox = Outbox::default();
    outbox.queue(message("response", "queued"));
    outbox.retain(message("state", "painting"));
    outbox.retain(message("image", "picture"));
    outbox.queue(message("response", "done"));
    outbox.retain(message("state", "idle"));
    let all = sent(&mut outbox);
    assert_eq!(payloads(&all), ["queued", "picture", "done", "idle"]);
    assert!(!outbox.is_empty());
    all.iter().for_each(|(number, _)| outbox.done(*number));
    assert!(outbox.is_empty());
    assert!(sent(&mut outbox).is_empty());
}

#[test]
fn what_is_lost_on_its_way_goes_again_in_its_old_order() {
    let mut outbox = Outbox::default();
    for payload in ["1", "2", "3"] {
        outbox.queue(message("response", payload));
    }
    let all = sent(&mut outbox);
    outbox.done(all[1].0);
    outbox.again(all[2].0);
    outbox.again(all[0].0);
    assert_eq!(payloads(&sent(&mut outbox)), ["1", "3"]);
}

#[test]
fn of_a_retained_value_only_the_newest_is_sent_and_one_at_a_time() {
    let mut outbox = Outbox::default();
    outbox.retain(message("state", "1"));
    let first = sent(&mut outbox);
    outbox.retain(message("state", "2"));
    outbox.retain(message("state", "3"));
    assert!(sent(&mut outbox).is_empty(), "the first is on its way");
    outbox.done(first[0].0);
    let next = sent(&mut outbox);
    assert_eq!(payloads(&next), ["3"]);
    outbox.done(next[0].0);
    outbox.retain(message("state", "3"));
    assert!(sent(&mut outbox).is_empty(), "the broker has it");
    outbox.all_again();
    assert_eq!(payloads(&sent(&mut outbox)), ["3"]);
}

#[test]
fn a_preview_waits_for_the_one_before_and_is_dropped_offline() {
    let mut outbox = Outbox::default();
    outbox.preview(message("preview", "1"));
    let first = sent(&mut outbox);
    outbox.preview(message("preview", "2"));
    outbox.preview(message("preview", "3"));
    assert!(sent(&mut outbox).is_empty(), "the socket is slow");
    outbox.done(first[0].0);
    assert_eq!(payloads(&sent(&mut outbox)), ["3"]);
    outbox.preview(message("preview", "4"));
    outbox.offline();
    assert!(sent(&mut outbox).is_empty() && outbox.is_empty());
}

#[test]
fn thousands_are_kept_and_then_the_oldest_goes() {
    let mut outbox = Outbox::default();
    for number in 0..MOST {
        assert!(!outbox.queue(message("response", &number.to_string())));
    }
    assert!(outbox.queue(message("response", "last")));
    let all = sent(&mut outbox);
    assert_eq!((all.len(), all[0].1.as_str()), (MOST, "1"));
}
