//! The threads of the client are watched: one that panics or hangs is seen, by name.

use crate::board::{at, identity, pace};
use crate::broker::{Broker, LONG, free_port};
use easel_firmware::mqtt::{BrokerSettings, Client, Inbound, Outbound, State};
use easel_firmware::watch::Pulse;
use std::sync::mpsc::channel;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_connection_that_panics_is_seen_and_its_handle_stops_nobody() {
    let broker = Broker::open();
    let pulse = Pulse::default();
    let events = |inbound| assert!(!matches!(inbound, Inbound::Online { .. }), "as it should");
    let client = Client::start_at_pace(&at(broker.port), identity("frame"), pace(), &pulse, events);
    let client = client.expect("it starts");
    pulse.wait(LONG);
    let stuck = pulse.check(Duration::ZERO).expect_err("it has panicked");
    assert_eq!(stuck.to_string(), "connection: has panicked: as it should");
    client.publish(Outbound::State(State::default()));
    assert!(!client.stop(SECOND), "nothing was said");
}

#[test]
fn a_connection_that_hangs_is_seen_and_one_without_a_broker_is_well() {
    let broker = Broker::open();
    let pulse = Pulse::default();
    let (hangs, is_hanging) = channel();
    let (let_go, go) = channel::<()>();
    let events = move |inbound| {
        if let Inbound::Online { .. } = inbound {
            let _ = hangs.send(());
            // Until the test is over.
            let _ = go.recv();
        }
    };
    let client = Client::start_at_pace(&at(broker.port), identity("frame"), pace(), &pulse, events);
    is_hanging.recv_timeout(LONG).expect("it hangs");
    assert_eq!(pulse.check(1000 * SECOND), Ok(()));
    assert_eq!(pulse.check(1120 * SECOND), Ok(()));
    let stuck = pulse.check(1121 * SECOND).expect_err("it hangs");
    assert_eq!(stuck.to_string(), "connection: no progress for 121 s");
    drop(let_go);
    drop(client);

    let pulse = Pulse::default();
    let (tell, told) = channel();
    let events = move |inbound| drop(tell.send(inbound));
    let nobody = at(free_port());
    let client = Client::start_at_pace(&nobody, identity("frame"), pace(), &pulse, events);
    let mut looks = 0;
    while looks < 5 {
        if let Inbound::Offline { .. } = told.recv_timeout(LONG).expect("it tries again") {
            looks += 1;
            assert_eq!(pulse.check(looks * 100 * SECOND), Ok(()));
        }
    }
    drop(client);
}

#[test]
fn a_keeper_of_the_boards_own_broker_that_panics_is_seen() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = BrokerSettings {
        embedded: true,
        host: None,
        port: Some(free_port()),
        ..BrokerSettings::default()
    };
    let pulse = Pulse::default();
    // The child is this program once more, which is no easel here, so that no broker comes of it: the keeper tells of that,
    // and the connection has nothing to say before there is one.
    let events = |inbound| assert!(!matches!(inbound, Inbound::Offline { .. }), "as it should");
    let client =
        Client::start_with_broker(&settings, identity("frame"), folder.path(), &pulse, events);
    pulse.wait(LONG);
    let stuck = pulse.check(Duration::ZERO).expect_err("it has panicked");
    assert_eq!(stuck.to_string(), "broker: has panicked: as it should");
    drop(client);
}
