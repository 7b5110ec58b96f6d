//! Brokers that stop, hang and forget; wires that are cut.

use crate::board::{Board, at};
use crate::broker::{Broker, LONG};
use crate::dashboard::Dashboard;
use crate::proxy::Proxy;
use easel_firmware::jobs::Status;
use easel_firmware::mqtt::{BrokerSettings, Inbound, Outbound, Response, State};
use std::sync::atomic::{AtomicBool, Ordering};

fn answer(board: &Board, id: &str) {
    let id = Some(id.parse().expect("an id"));
    let response = Response {
        id,
        status: Status::Done,
        error: None,
        warnings: Vec::new(),
        queue: 0,
    };
    board.client.publish(Outbound::Response(response, None));
}

fn queue(board: &Board, queue: usize) {
    board.client.publish(Outbound::State(State {
        queue,
        ..State::default()
    }));
}

/// The keep-alive that a test has the time for.
fn quick(port: u16) -> BrokerSettings {
    BrokerSettings {
        keep_alive_s: 5,
        ..at(port)
    }
}

#[test]
fn a_prompt_that_was_not_acknowledged_comes_again() {
    let broker = Broker::open();
    let proxy = Proxy::to(broker.port);
    let dashboard = Dashboard::open(broker.port, &[]);
    let board = Board::start("frame", &at(proxy.port));
    board.online();
    dashboard.publish("easel/frame/paint", "a cat");
    let (_, old) = board.job();
    proxy.cut();
    assert!(board.online(), "the broker keeps the session");
    // The right to acknowledge has gone with the connection; it does no harm to the new one.
    board.client.acknowledge(old);
    let (job, ticket) = board.job();
    assert_eq!(job.order.prompt, "a cat");
    board.client.acknowledge(ticket);
    dashboard.publish("easel/frame/paint", "a dog");
    let (job, ticket) = board.job();
    assert_eq!(job.order.prompt, "a dog");
    board.client.acknowledge(ticket);
    assert_eq!(
        proxy.connections(),
        2,
        "nothing ended the second connection"
    );
}

#[test]
fn a_prompt_survives_a_board_that_dies() {
    let broker = Broker::open();
    let dashboard = Dashboard::open(broker.port, &["easel/frame/availability"]);
    let board = Board::start("frame", &at(broker.port));
    board.online();
    dashboard.publish("easel/frame/paint", "unacknowledged");
    let _ticket = board.job().1;
    drop(board);
    dashboard.text("easel/frame/availability", "offline");
    dashboard.publish("easel/frame/paint", "while it was away");
    let board = Board::start("frame", &at(broker.port));
    assert!(board.online(), "the session was kept");
    for expected in ["unacknowledged", "while it was away"] {
        let (job, ticket) = board.job();
        assert_eq!(job.order.prompt, expected);
        board.client.acknowledge(ticket);
    }
    // The session is taken up with the right to publish and subscribe.
    answer(&board, "after-death");
    let dashboard = Dashboard::open(broker.port, &["easel/frame/#"]);
    answer(&board, "again");
    dashboard.text("easel/frame/response", "again");
}

#[test]
fn a_broker_that_forgets_everything_is_told_again() {
    let mut broker = Broker::open();
    let board = Board::start("frame", &at(broker.port));
    board.online();
    queue(&board, 7);
    broker.stop();
    board.offline("broker");
    answer(&board, "meanwhile");
    queue(&board, 9);
    broker.start();
    let dashboard = Dashboard::open(broker.port, &["easel/frame/#"]);
    assert!(!board.online(), "nothing was kept");
    dashboard.text("easel/frame/availability", "online");
    dashboard.text("easel/frame/state", r#""queue":9"#);
    // The answer may have been published before the dashboard came; the next one shows that all goes on.
    answer(&board, "after");
    dashboard.text("easel/frame/response", "after");
    dashboard.publish("easel/frame/paint", "a cat");
    assert_eq!(board.job().0.order.prompt, "a cat");
}

#[test]
fn a_broker_that_remembers_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lines = format!(
        "allow_anonymous true\npersistence true\npersistence_location {}/\nautosave_interval 1\n",
        folder.path().display()
    );
    let mut broker = Broker::with(folder, &lines);
    let dashboard = Dashboard::open(broker.port, &["easel/frame/#"]);
    let board = Board::start("frame", &at(broker.port));
    board.online();
    dashboard.publish("easel/frame/paint", "before");
    let _lost = board.job().1;
    broker.stop();
    board.offline("broker");
    answer(&board, "meanwhile");
    broker.start();
    assert!(board.online(), "the session was saved");
    let (job, ticket) = board.job();
    assert_eq!(job.order.prompt, "before");
    board.client.acknowledge(ticket);
    let dashboard = Dashboard::open(broker.port, &["easel/frame/#"]);
    assert!(dashboard.text("easel/frame/availability", "online").retain);
    dashboard.publish("easel/frame/paint", "after");
    assert_eq!(board.job().0.order.prompt, "after");
}

#[test]
fn answers_wait_for_a_broker_that_is_away() {
    let mut broker = Broker::open();
    let proxy = Proxy::to(broker.port);
    let dashboard = Dashboard::open(broker.port, &["easel/frame/response"]);
    let board = Board::start("frame", &at(proxy.port));
    board.online();
    // The wire is cut again and again in the middle of what the broker says, acknowledgements among it.
    for round in 0..6 {
        proxy.cut_after(round * 3 + 1);
        for number in 0..20 {
            answer(&board, &format!("{round}-{number}"));
        }
        board.online();
    }
    dashboard.text("easel/frame/response", "\"5-19\"");
    let payloads = dashboard.payloads("easel/frame/response");
    let mut ids: Vec<String> = payloads
        .iter()
        .map(|payload| {
            serde_json::from_str::<serde_json::Value>(payload).expect("JSON")["id"].to_string()
        })
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 120, "each arrived at least once");
    broker.stop();
}

#[test]
fn a_dead_wire_is_noticed() {
    let broker = Broker::open();
    let proxy = Proxy::to(broker.port);
    let board = Board::start("frame", &quick(proxy.port));
    board.online();
    proxy.clog(true);
    let reason = board.offline("broker");
    assert!(
        reason.contains("no longer answers") || reason.contains("takes nothing"),
        "{reason}"
    );
    proxy.clog(false);
    proxy.cut();
    board.online();
}

#[test]
fn a_broker_that_hangs_is_noticed_and_greeted_when_it_wakes() {
    let broker = Broker::open();
    let dashboard = Dashboard::open(broker.port, &[]);
    let board = Board::start("frame", &quick(broker.port));
    board.online();
    broker.signal("STOP");
    // More than the sockets' buffers hold: even the timers of the library stand still in this.
    let more = AtomicBool::new(true);
    let reason = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0_u8;
            while more.load(Ordering::Relaxed) {
                number = number.wrapping_add(1);
                board.client.publish(Outbound::Image(vec![number; 200_000]));
                board
                    .client
                    .publish(Outbound::Preview(vec![number; 200_000]));
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        let events = &board.events;
        let reason = loop {
            let event = events.recv_timeout(LONG).expect("an end of the connection");
            if let Inbound::Offline { reason } = event {
                break reason;
            }
        };
        more.store(false, Ordering::Relaxed);
        reason
    });
    assert!(reason.contains("broker"), "{reason}");
    broker.signal("CONT");
    board.online();
    dashboard.publish("easel/frame/paint", "still there");
    assert_eq!(board.job().0.order.prompt, "still there");
}

#[test]
fn two_boards_with_one_name_say_so_and_do_not_fight() {
    let broker = Broker::open();
    let first = Board::start("frame", &at(broker.port));
    first.online();
    let second = Board::start("frame", &at(broker.port));
    second.online();
    let reason = first.offline("its own broker.device");
    assert!(!reason.contains('\n'));
}

#[test]
fn a_broker_that_is_restarted_often_is_no_other_board() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // One that remembers, so that a session is resumed as after a takeover.
    let lines = format!(
        "allow_anonymous true\npersistence true\npersistence_location {}/\n",
        folder.path().display()
    );
    let mut broker = Broker::with(folder, &lines);
    let board = Board::start("frame", &at(broker.port));
    board.online();
    for round in 0..8 {
        if round % 4 == 3 {
            broker.kill();
        } else {
            broker.stop();
        }
        let reason = board.offline("");
        assert!(!reason.contains("another"), "{round}: {reason}");
        broker.start();
        board.online();
    }
}

#[test]
fn what_the_broker_finds_too_large_is_given_up_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let broker = Broker::with(folder, "allow_anonymous true\nmax_packet_size 20000\n");
    let proxy = Proxy::to(broker.port);
    let dashboard = Dashboard::open(broker.port, &["easel/frame/#"]);
    let board = Board::start("frame", &at(proxy.port));
    board.online();
    board.client.publish(Outbound::Image(vec![0; 30_000]));
    board.note("easel/frame/image is larger than the broker takes");
    answer(&board, "after");
    dashboard.text("easel/frame/response", "after");
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn a_message_that_is_too_large_never_comes() {
    let broker = Broker::open();
    let proxy = Proxy::to(broker.port);
    let dashboard = Dashboard::open(broker.port, &[]);
    let board = Board::start(
        "frame",
        &BrokerSettings {
            max_packet_kib: 96,
            ..at(proxy.port)
        },
    );
    board.online();
    dashboard.publish("easel/frame/paint", "x".repeat(97 * 1024));
    dashboard.publish("easel/frame/paint", "short");
    assert_eq!(board.job().0.order.prompt, "short");
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn a_board_is_as_happy_without_a_broker() {
    let board = Board::start("frame", &at(crate::broker::free_port()));
    board.offline("is the broker running?");
    queue(&board, 1);
    assert!(!board.client.stop(LONG), "something was not sent");
}
