//! Boards of a group share one queue, and one that dies loses nothing.

use crate::board::{at, identity, pace};
use crate::broker::{Broker, LONG};
use crate::dashboard::Dashboard;
use easel_firmware::jobs::Source;
use easel_firmware::mqtt::{BrokerSettings, Client, Inbound, Ticket};
use easel_firmware::watch::Pulse;
use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A board that "paints" one prompt a step and has room for a few.
struct Painter {
    client: Client,
    told: Receiver<(String, Ticket)>,
    queue: VecDeque<String>,
}

const ROOM: usize = 3;

impl Painter {
    fn start(device: &str, port: u16) -> Self {
        let settings = BrokerSettings {
            fleet: Some("house".to_owned()),
            ..at(port)
        };
        let (tell, told) = channel();
        let (up, is_up) = channel();
        let events = move |event| match event {
            Inbound::Paint { job, ticket } => {
                assert_eq!(job.source, Source::Fleet);
                let _ = tell.send((job.order.prompt, ticket));
            }
            Inbound::Online { .. } => drop(up.send(())),
            _ => {}
        };
        let client = Client::start_at_pace(
            &settings,
            identity(device),
            pace(),
            &Pulse::default(),
            events,
        )
        .expect("it starts");
        is_up.recv_timeout(LONG).expect("it connects");
        client.set_room(true);
        Self {
            client,
            told,
            queue: VecDeque::new(),
        }
    }

    /// Takes what has come and paints the oldest; what it painted.
    fn step(&mut self, wait: Duration) -> Option<String> {
        match self.told.recv_timeout(wait) {
            Ok((prompt, ticket)) => {
                self.queue.push_back(prompt);
                // Room is said first: the acknowledgement brings the next prompt.
                self.client.set_room(self.queue.len() < ROOM);
                self.client.acknowledge(ticket);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => panic!("the client has ended"),
        }
        let painted = self.queue.pop_front();
        self.client.set_room(self.queue.len() < ROOM);
        painted
    }
}

/// All boards of the group have said that they are here.
fn gathered(dashboard: &Dashboard, devices: &[&str]) {
    for device in devices {
        dashboard.text(&format!("easel/fleet/house/members/{device}"), "online");
    }
}

#[test]
fn of_two_hundred_prompts_none_is_lost_when_a_board_dies() {
    let broker = Broker::open();
    let dashboard = Dashboard::open(broker.port, &["easel/fleet/house/members/+"]);
    let devices = ["a", "b", "c", "d"];
    let mut boards: Vec<Painter> = devices
        .iter()
        .map(|device| Painter::start(device, broker.port))
        .collect();
    gathered(&dashboard, &devices);
    for number in 0..100 {
        dashboard.publish("easel/fleet/house/paint", format!("prompt {number}"));
    }
    let mut painted: BTreeMap<String, usize> = BTreeMap::new();
    let paint = |boards: &mut Vec<Painter>, painted: &mut BTreeMap<String, usize>| {
        for board in boards {
            if let Some(prompt) = board.step(Duration::from_millis(2)) {
                *painted.entry(prompt).or_default() += 1;
            }
        }
    };
    while painted.len() < 30 {
        paint(&mut boards, &mut painted);
    }
    // It dies with prompts in its queue, which its journal would bring back: they are counted as painted by it. What
    // it has not acknowledged, and what the broker has dealt to it and goes on dealing, must come to the others.
    let dead = boards.pop().expect("there are four");
    for prompt in &dead.queue {
        *painted.entry(prompt.clone()).or_default() += 1;
    }
    drop(dead);
    for number in 100..200 {
        dashboard.publish("easel/fleet/house/paint", format!("prompt {number}"));
    }
    let begun = Instant::now();
    while painted.len() < 200 && begun.elapsed() < LONG {
        paint(&mut boards, &mut painted);
    }
    let twice: usize = painted.values().map(|times| times - 1).sum();
    println!(
        "painted {} of 200, {twice} of them once more",
        painted.len()
    );
    assert_eq!(painted.len(), 200, "after {:?}", begun.elapsed());
    assert!(twice <= 20, "{twice} duplicates");
    // The dead board's session has ended: nothing is dealt to it any more.
    dashboard.wait("end of the lost board's session", |message| {
        (message.topic.as_ref() == b"easel/fleet/house/members/d" && message.payload.is_empty())
            .then_some(())
    });
}

#[test]
fn a_board_without_room_takes_nothing_and_loses_nothing() {
    let broker = Broker::open();
    let dashboard = Dashboard::open(broker.port, &["easel/fleet/house/members/+"]);
    let mut board = Painter::start("only", broker.port);
    gathered(&dashboard, &["only"]);
    for number in 0..10 {
        dashboard.publish("easel/fleet/house/paint", format!("prompt {number}"));
    }
    let mut taken = Vec::new();
    while taken.len() < ROOM {
        let (prompt, ticket) = board.told.recv_timeout(LONG).expect("there is room");
        taken.push(prompt);
        board.client.set_room(taken.len() < ROOM);
        board.client.acknowledge(ticket);
    }
    let none = board.told.recv_timeout(Duration::from_millis(300));
    assert!(none.is_err(), "it has no room for {none:?}");
    let mut all = taken;
    while all.len() < 10 {
        all.extend(board.step(Duration::from_millis(5)));
    }
    let expected: Vec<String> = (0..10).map(|number| format!("prompt {number}")).collect();
    assert_eq!(all, expected, "in their order");
}

#[test]
fn prompts_wait_for_a_board_that_comes_back() {
    let broker = Broker::open();
    let dashboard = Dashboard::open(broker.port, &["easel/fleet/house/members/+"]);
    let board = Painter::start("only", broker.port);
    gathered(&dashboard, &["only"]);
    assert!(board.client.stop(LONG));
    dashboard.publish("easel/fleet/house/paint", "while it was away");
    let mut board = Painter::start("only", broker.port);
    assert_eq!(board.step(LONG).as_deref(), Some("while it was away"));
}
