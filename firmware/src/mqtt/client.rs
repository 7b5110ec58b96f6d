//! The handle that the rest of the program holds.

use super::backoff::Pace;
use super::desk::{Action, Desk};
use super::embedded::Embedded;
use super::inbound::{Inbound, Ticket};
use super::report::Outbound;
use super::secret::PasswordPlaces;
use super::{BrokerError, BrokerSettings, Identity, topics};
use crate::watch::{Beat, Pulse};
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// The connection's thread shows that it gets on every few seconds, whether anything happens or not; it never waits itself.
const PATIENCE: Duration = Duration::from_secs(120);

/// The board on the broker. Works on a thread of its own; none of its functions waits for the network, but
/// [`stop`](Self::stop). Dropped without that it is gone at once, as in a power cut: the broker publishes the last will.
#[derive(Debug)]
pub struct Client {
    actions: UnboundedSender<Action>,
    beat: Beat,
    thread: JoinHandle<()>,
    /// If the board has one.
    own_broker: Option<Embedded>,
}

impl Client {
    /// Begins to connect, and goes on for ever. `events` is called on the connection's thread, which `pulse` watches: it
    /// must be quick.
    ///
    /// # Errors
    /// Settings without a broker, a device id that cannot stand in a topic, no thread.
    pub fn start(
        settings: &BrokerSettings,
        identity: Identity,
        pulse: &Pulse,
        events: impl Fn(Inbound) + Send + 'static,
    ) -> Result<Self, BrokerError> {
        Self::start_at_pace(settings, identity, Pace::default(), pulse, events)
    }

    /// As [`start`](Self::start), with a broker of the board's own, which keeps its files in the state folder `state`
    /// and ends with the client.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with_broker(
        settings: &BrokerSettings,
        identity: Identity,
        state: &Path,
        pulse: &Pulse,
        events: impl Fn(Inbound) + Send + Clone + 'static,
    ) -> Result<Self, BrokerError> {
        let pace = Pace::default();
        let own = Embedded::start(settings, state, pace.clone(), pulse, events.clone())?;
        Self::begin(settings, identity, pace, Some(own), pulse, events)
    }

    /// As [`start`](Self::start), with other times between attempts.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_at_pace(
        settings: &BrokerSettings,
        identity: Identity,
        pace: Pace,
        pulse: &Pulse,
        events: impl Fn(Inbound) + Send + 'static,
    ) -> Result<Self, BrokerError> {
        Self::begin(settings, identity, pace, None, pulse, events)
    }

    fn begin(
        settings: &BrokerSettings,
        identity: Identity,
        pace: Pace,
        own_broker: Option<Embedded>,
        pulse: &Pulse,
        events: impl Fn(Inbound) + Send + 'static,
    ) -> Result<Self, BrokerError> {
        let address = settings.address().ok_or(BrokerError::NoHost)?;
        if !topics::is_plain_name(&identity.device) {
            return Err(BrokerError::Device);
        }
        let places = PasswordPlaces::of_process(settings);
        let (actions, received) = tokio::sync::mpsc::unbounded_channel();
        let settings = settings.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(BrokerError::Thread)?;
        let is_up = own_broker.as_ref().map(Embedded::is_up);
        let work = move |beat: &Beat| {
            let events = Box::new(events);
            let desk = Desk::new(settings, address, identity, places, pace, is_up, events);
            runtime.block_on(desk.run(received, beat));
            // A name look-up may hang for minutes in the system: nobody waits for it.
            runtime.shutdown_background();
        };
        let started = pulse.spawn("connection", PATIENCE, work);
        let (beat, thread) = started.map_err(BrokerError::Thread)?;
        Ok(Self {
            actions,
            beat,
            thread,
            own_broker,
        })
    }

    /// Says to the broker that a message has been taken care of. Each ticket is good for one message of one connection.
    pub fn acknowledge(&self, ticket: Ticket) {
        if let Some(receipt) = ticket.0 {
            self.act(Action::Acknowledge(receipt));
        }
    }

    /// Publishes when it can. Responses wait, of retained values only the newest counts, previews are dropped.
    pub fn publish(&self, outbound: Outbound) {
        self.act(Action::Publish(outbound));
    }

    /// Whether there is room for a prompt of the group. Without room the group's next prompt stays at the broker; a
    /// prompt that was handed over and not acknowledged is handed over again when room comes back.
    pub fn set_room(&self, room: bool) {
        self.act(Action::Room(room));
    }

    /// Takes the board out of Home Assistant and its retained values from the broker, for a board that is given away.
    pub fn forget(&self) {
        self.act(Action::Forget);
    }

    /// Publishes what waits and `offline`, disconnects and ends, within about `deadline`. `true`: all of it was done. After
    /// that a broker of the board's own has as long again.
    pub fn stop(self, deadline: Duration) -> bool {
        let (done, is_done) = mpsc::channel();
        self.act(Action::Stop(deadline, done));
        let all = is_done.recv_timeout(deadline + Duration::from_secs(2));
        // Without an answer the thread hangs, and nobody waits for it.
        let all = all.is_ok_and(|all| self.thread.join().is_ok() && all);
        if let Some(own) = self.own_broker {
            own.stop(deadline);
        }
        all
    }

    fn act(&self, action: Action) {
        if self.actions.send(action).is_err() {
            // It ends only after a stop, which takes the handle: it has panicked.
            self.beat.lost();
        }
    }
}
