//! What holds on a connection that nobody disturbs.

use crate::board::{Board, at};
use crate::broker::{Broker, LONG};
use crate::dashboard::Dashboard;
use easel_firmware::jobs::{Source, Status};
use easel_firmware::mqtt::{Inbound, Outbound, Problem, Response, State};
use rumqttc::{PublishOptions, PublishProperties};
use std::time::Duration;

fn response(status: Status) -> Response {
    Response {
        id: Some("a-1".parse().expect("an id")),
        status,
        error: None,
        warnings: Vec::new(),
        queue: 1,
    }
}

#[test]
fn a_prompt_comes_in_and_answers_go_out() {
    let broker = Broker::open();
    let dashboard = Dashboard::open(broker.port, &["easel/frame/#", "answers/#"]);
    let board = Board::start("frame", &at(broker.port));
    assert!(!board.online());
    dashboard.text("easel/frame/availability", "online");

    dashboard.ask("easel/frame/paint", "a blue cat", "answers/me", b"\x00\x01");
    let (job, ticket) = board.job();
    assert_eq!(
        (job.order.prompt.as_str(), job.source),
        ("a blue cat", Source::Mqtt)
    );
    board.client.acknowledge(ticket);
    board
        .client
        .publish(Outbound::Response(response(Status::Queued), job.reply));
    board.client.publish(Outbound::State(State {
        queue: 1,
        ..State::default()
    }));
    board.client.publish(Outbound::Preview(b"preview".to_vec()));
    board.client.publish(Outbound::Image(b"picture".to_vec()));

    let answer = dashboard.text("answers/me", "queued");
    let properties = answer.properties.expect("it has some");
    assert_eq!(
        properties.correlation_data.as_deref(),
        Some(&b"\x00\x01"[..])
    );
    assert_eq!(properties.content_type.as_deref(), Some("application/json"));
    dashboard.text("easel/frame/response", r#""status":"queued""#);
    assert!(dashboard.text("easel/frame/state", "idle").retain);
    assert!(!dashboard.text("easel/frame/preview", "preview").retain);
    assert!(dashboard.text("easel/frame/image", "picture").retain);

    assert!(board.client.stop(LONG));
    dashboard.text("easel/frame/availability", "offline");
}

#[test]
fn the_will_tells_of_a_board_that_is_gone_at_once() {
    let broker = Broker::open();
    let dashboard = Dashboard::open(broker.port, &["easel/frame/availability"]);
    let board = Board::start("frame", &at(broker.port));
    board.online();
    dashboard.text("easel/frame/availability", "online");
    drop(board);
    let will = dashboard.text("easel/frame/availability", "offline");
    assert!(will.retain);
}

#[test]
fn every_command_is_told() {
    let broker = Broker::open();
    let dashboard = Dashboard::open(broker.port, &[]);
    let board = Board::start("frame", &at(broker.port));
    board.online();
    for (topic, payload, expected) in [
        ("generate", "press", "Generate"),
        ("cancel", "", "Cancel(None)"),
        ("cancel", "a-1", "Cancel(Some(JobId(\"a-1\")))"),
        ("show", "next", "Show(Next)"),
        ("set/kiosk", "ON", "Set(Kiosk(true))"),
        ("set/steps", "12", "Set(Steps(Some(12)))"),
    ] {
        dashboard.publish(&format!("easel/frame/{topic}"), payload);
        board.wait(expected, |event| {
            (format!("{event:?}") == expected)
                .then_some(())
                .ok_or(event)
        });
    }
    for (topic, payload, code) in [
        (
            "paint",
            r#"{"prompt":"x","steps":0,"id":"a-1"}"#,
            "invalid_steps",
        ),
        ("set/colour", "red", "unknown_setting"),
        ("set/steps", "0", "invalid_steps"),
        ("set/a/b", "1", "unknown_topic"),
        ("pain", "a cat", "unknown_topic"),
        ("cancel", "a/b", "invalid_id"),
        ("show", "", "invalid_show"),
    ] {
        dashboard.publish(&format!("easel/frame/{topic}"), payload);
        board.wait(code, |event| match event {
            Inbound::Wrong {
                id,
                problem,
                ticket,
                ..
            } if problem.code == code => {
                assert_eq!(id.is_some(), topic == "paint");
                board.client.acknowledge(ticket);
                Ok(())
            }
            other => Err(other),
        });
    }
}

#[test]
fn what_the_board_says_itself_is_no_command() {
    let broker = Broker::open();
    let dashboard = Dashboard::open(broker.port, &["easel/frame/#"]);
    let board = Board::start("frame", &at(broker.port));
    board.online();
    // Of the board itself, of a dashboard that plays the board, and of the doctor.
    board.client.publish(Outbound::State(State::default()));
    board
        .client
        .publish(Outbound::Button("next_short".to_owned()));
    for topic in ["response", "image/info", "doctor", "availability"] {
        dashboard.publish(&format!("easel/frame/{topic}"), "{}");
    }
    dashboard.text("easel/frame/button", "next_short");
    dashboard.publish("easel/frame/show", "next");
    board.wait("the command", |event| match event {
        Inbound::Show(_) => Ok(()),
        other => Err(other),
    });
    let others = board.passed();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn a_message_expires_when_its_sender_says_so() {
    let broker = Broker::open();
    let dashboard = Dashboard::open(broker.port, &[]);
    let board = Board::start("frame", &at(broker.port));
    board.online();
    let properties = PublishProperties {
        message_expiry_interval: Some(500),
        ..PublishProperties::default()
    };
    let options = PublishOptions::at_least_once().properties(properties);
    dashboard.publish_as(
        "easel/frame/paint",
        r#"{"prompt":"x","ttl_s":9000}"#,
        options,
    );
    let ttl = board.job().0.ttl.expect("it has one");
    assert!(
        ttl <= Duration::from_secs(500) && ttl > Duration::from_secs(400),
        "{ttl:?}"
    );
}

#[test]
fn a_retained_command_is_ignored() {
    let broker = Broker::open();
    let dashboard = Dashboard::open(broker.port, &["easel/frame/paint"]);
    let retained = || PublishOptions::at_least_once().retained();
    dashboard.publish_as(
        "easel/frame/paint",
        "stored before the board came",
        retained(),
    );
    dashboard.text("easel/frame/paint", "stored");
    let board = Board::start("frame", &at(broker.port));
    board.online();
    dashboard.publish_as(
        "easel/frame/paint",
        "retained while it is there",
        retained(),
    );
    let (topic, problem, id) = board.wrong();
    assert_eq!(topic, "retained");
    assert!(
        problem.contains("without the retain flag") && id.is_none(),
        "{problem}"
    );
    dashboard.publish("easel/frame/paint", "meant");
    assert_eq!(board.job().0.order.prompt, "meant");
}

#[test]
fn an_answer_is_refused_nowhere_and_all_come_in_order() {
    let broker = Broker::open();
    let dashboard = Dashboard::open(broker.port, &["easel/frame/response"]);
    let board = Board::start("frame", &at(broker.port));
    // Before there is a connection.
    for number in 0..500 {
        let problem = Problem::new(format!("number-{number}"), "");
        let answer = Response {
            error: Some(problem),
            ..response(Status::Rejected)
        };
        board.client.publish(Outbound::Response(answer, None));
    }
    dashboard.text("easel/frame/response", "number-499");
    let payloads = dashboard.payloads("easel/frame/response");
    assert_eq!(payloads.len(), 500);
    for (number, payload) in payloads.iter().enumerate() {
        assert!(
            payload.contains(&format!("\"number-{number}\"")),
            "{payload}"
        );
    }
}
