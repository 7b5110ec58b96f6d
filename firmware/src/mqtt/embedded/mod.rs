//! A broker of the board's own, for a house without one: Mosquitto, which easel starts, looks after and ends.
//!
//! A thread starts it ([`Mosquitto`]), with what it reads (`files`) as the settings say who may connect ([`Access`]), waits
//! until it takes connections, and starts it again when it has ended. The board's client connects to it as to any other
//! broker, but only while it is up: what else listens on that port is none of its business. It ends with easel, however
//! that ends ([`tether`]).

mod access;
mod files;
mod mosquitto;
mod survey;
mod tether;

pub(crate) use survey::{is_running, survey};
pub(crate) use tether::tethered;

use super::backoff::{Backoff, Pace};
use super::fault::Fault;
use super::secret::PasswordPlaces;
use super::{BrokerError, BrokerSettings, Inbound};
use crate::watch::{Beat, Pulse};
use access::Access;
use mosquitto::Mosquitto;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A broker that has not said by then that it takes connections is taken for stuck.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// What the thread does besides waiting: it writes files, has a password hashed, ends a process.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks whether it takes connections.
const LOOK: Duration = Duration::from_millis(20);

/// What the thread is told.
#[derive(Debug)]
enum Told {
    /// A line on Mosquitto's standard error.
    Line(String),
    /// There are no more.
    Ended,
    /// It is to end within this time; whoever waits for that sees the sender go.
    Stop(Duration, Sender<()>),
}

/// The broker and the thread that looks after it.
#[derive(Debug)]
pub(super) struct Embedded {
    tell: Sender<Told>,
    is_up: watch::Receiver<bool>,
}

impl Embedded {
    /// Begins to start it, and goes on for ever, on a thread that `pulse` watches. It keeps its files in the state folder `state`, and tells of its coming and going with
    /// [`Inbound::Note`] and [`Inbound::Offline`].
    ///
    /// # Errors
    /// No thread.
    pub(super) fn start(
        settings: &BrokerSettings,
        state: &Path,
        pace: Pace,
        pulse: &Pulse,
        events: impl Fn(Inbound) + Send + 'static,
    ) -> Result<Self, BrokerError> {
        let (tell, told) = channel();
        let (up, is_up) = watch::channel(false);
        let keeper = Keeper {
            port: settings.port_or_default(),
            places: PasswordPlaces::of_process(settings),
            settings: settings.clone(),
            folder: files::folder(state),
            pace,
            events: Box::new(events),
            up,
            tell: tell.clone(),
            told,
            noted: BTreeSet::new(),
        };
        let started = pulse.spawn("broker", PATIENCE, move |beat| keeper.run(beat));
        started.map_err(BrokerError::Thread)?;
        Ok(Self { tell, is_up })
    }

    /// Whether it takes connections.
    pub(super) fn is_up(&self) -> watch::Receiver<bool> {
        self.is_up.clone()
    }

    /// Ends it within about `deadline`, when it has written what it must remember.
    pub(super) fn stop(&self, deadline: Duration) {
        let (done, is_done) = channel();
        let _ = self.tell.send(Told::Stop(deadline, done));
        // It is killed when the time is over.
        let _ = is_done.recv_timeout(deadline + Duration::from_secs(1));
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // Nobody waits for it.
        let _ = self
            .tell
            .send(Told::Stop(Duration::from_secs(1), channel().0));
    }
}

/// Looks after it, on a thread of its own.
struct Keeper {
    settings: BrokerSettings,
    port: u16,
    places: PasswordPlaces,
    folder: PathBuf,
    pace: Pace,
    events: Box<dyn Fn(Inbound) + Send>,
    up: watch::Sender<bool>,
    tell: Sender<Told>,
    told: Receiver<Told>,
    /// Lines of Mosquitto's that the log has already.
    noted: BTreeSet<String>,
}

/// How a run of the broker ended.
enum End {
    /// As it was told to.
    Stopped,
    /// It is to be started again.
    Fault(Fault),
}

impl Keeper {
    fn run(mut self, beat: &Beat) {
        let mut backoff = Backoff::new(self.pace.clone());
        loop {
            beat.work();
            let begun = Instant::now();
            let end = self.one_run(beat).unwrap_or_else(End::Fault);
            self.up.send_replace(false);
            let End::Fault(fault) = end else {
                return;
            };
            backoff.lasted(begun.elapsed());
            let wait = backoff.next(fault.slow, fastrand::f64());
            (self.events)(Inbound::Offline {
                reason: fault.reason,
            });
            beat.rest();
            // Nothing runs that could say a line.
            if !matches!(self.told.recv_timeout(wait), Err(RecvTimeoutError::Timeout)) {
                return;
            }
        }
    }

    /// From a start to its end.
    fn one_run(&mut self, beat: &Beat) -> Result<End, Fault> {
        let slow = |error: BrokerError| Fault::slow(error.to_string());
        let access = Access::new(&self.settings, &self.places).map_err(slow)?;
        let programs = mosquitto::Programs::find().map_err(slow)?;
        let lock = files::prepare(&self.folder, &programs, &self.settings, &access)?;
        access.check_port(self.port)?;
        let mut mosquitto = Mosquitto::start(&programs, &self.folder, lock, self.tell.clone())?;
        if let Some(end) = self.wait_until_it_answers(&mut mosquitto, beat) {
            return Ok(end);
        }
        let version = programs.version();
        let open_to = access.describe(self.port);
        (self.events)(Inbound::Note(format!("mosquitto {version} {open_to}")));
        self.up.send_replace(true);
        loop {
            beat.rest();
            let told = self.told.recv();
            beat.work();
            match told {
                // One that comes again and again says nothing new; names in it come from outside, so there could be many.
                Ok(Told::Line(line)) => {
                    if self.noted.len() < 100 && self.noted.insert(line.clone()) {
                        (self.events)(Inbound::Note(format!("mosquitto: {line}")));
                    }
                }
                Ok(Told::Ended) => {
                    let ended = mosquitto.ended();
                    return Ok(End::Fault(Fault::soon(format!(
                        "mosquitto ended ({ended}): it is started again"
                    ))));
                }
                Ok(Told::Stop(deadline, _done)) => {
                    mosquitto.stop(deadline, &self.told);
                    return Ok(End::Stopped);
                }
                Err(_) => return Ok(End::Stopped),
            }
        }
    }

    /// `None`: it takes connections.
    fn wait_until_it_answers(&mut self, mosquitto: &mut Mosquitto, beat: &Beat) -> Option<End> {
        let begun = Instant::now();
        let mut words: Vec<String> = Vec::new();
        loop {
            beat.tick();
            match self.told.recv_timeout(LOOK) {
                Ok(Told::Line(line)) => words.push(line),
                Ok(Told::Ended) => {
                    let ended = mosquitto.ended();
                    return Some(End::Fault(self.did_not_start(&ended, &words)));
                }
                Ok(Told::Stop(deadline, _done)) => {
                    mosquitto.stop(deadline, &self.told);
                    return Some(End::Stopped);
                }
                Err(RecvTimeoutError::Timeout) if access::answers(self.port) => return None,
                Err(RecvTimeoutError::Timeout) if begun.elapsed() < STARTS_WITHIN => {}
                Err(_) => {
                    mosquitto.stop(Duration::ZERO, &self.told);
                    let reason = "mosquitto does not get ready: it is started again";
                    return Some(End::Fault(Fault::soon(reason)));
                }
            }
        }
    }

    fn did_not_start(&self, ended: &str, words: &[String]) -> Fault {
        let has = |text: &str| words.iter().any(|line| line.contains(text));
        if has("Address already in use") {
            return access::port_is_taken(self.port);
        }
        // What a card makes of a file when the power goes must not keep the board from its broker for ever.
        if has("database") && files::set_memory_aside(&self.folder) {
            return Fault::soon(
                "what the broker remembered is damaged: it is set aside as mosquitto.db.damaged, and it begins anew",
            );
        }
        let words = words.join(", ");
        Fault::slow(format!("mosquitto does not start ({ended}): {words}"))
    }
}
