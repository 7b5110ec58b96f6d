//! `easel serve`: the daemon. It starts the parts, and then the house decides.

mod abilities;
mod assignment;
mod desk;
mod folder;
mod guard;
mod hearing;
mod house;
mod jpeg;
mod live;
mod orders;
mod painter;
mod pictures;
mod reload;
mod saying;
mod signals;
mod size;
mod sources;
mod watchdog;

pub(crate) use folder::choose_folder as state_folder;

use crate::board::{Config, ConfigError};
use crate::display::{self, Display, SystemClock};
use crate::jobs::{self, History, Queue};
use crate::kiosk::{Kiosk, PlaylistFile};
use crate::mqtt::{Client, Identity};
use crate::watch::{Beat, Clock, Notifier, Pulse};
use crate::{engine, failure::Failure, inputs, model_lookup, report};
use clap::Args;
use easel::LoadOptions;
use guard::Guard;
use house::{Event, House, PAINTER_STOPS, Situation, log};
use live::LiveFile;
use painter::Painter;
use reload::InForce;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// The one that decides waits for nothing but the disk, which a dying card may make slow.
const PATIENCE: Duration = Duration::from_secs(300);

/// Saying goodbye to the broker and on the panel takes so long at most, as long as the painter leaves as much.
const FAREWELL: Duration = Duration::from_secs(3);
/// A stop takes so long in all, whatever does not end.
const LONGEST_STOP: Duration = Duration::from_millis(3500);

/// What `easel serve` is told.
#[derive(Args)]
pub(crate) struct ServeArguments {
    /// The board's configuration
    #[arg(long, value_name = "FILE.toml")]
    board: PathBuf,
    /// Folder for queue, history and settings [default: STATE_DIRECTORY, then easel in the user's state folder]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Folder for what is made of a model at its first start; `off` keeps nothing [default: EASEL_CACHE, then easel in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    cache: Option<OsString>,
}

/// Runs until a signal.
pub(crate) fn run(arguments: &ServeArguments) -> Result<(), Failure> {
    let file = &arguments.board;
    let usage = |error: ConfigError| Failure::Usage(error.to_string());
    let in_force = InForce::new(file).map_err(usage)?;
    let config = Config::read(file).map_err(usage)?;
    report::kernel()?; // a wrong EASEL_KERNEL is a wrong call
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let folder = folder::open(arguments.state.as_deref(), &stem).map_err(Failure::Usage)?;
    let (events, heard) = channel();
    let pulse = Pulse::default();
    let notifier = Arc::new(Notifier::from_environment().unwrap_or_else(|error| {
        log(&format!("service manager: {error}: it is told nothing"));
        Notifier::default()
    }));
    let no_thread = |error| Failure::Failed(format!("threads: {error}: is there memory left?"));
    signals::listen(events.clone(), &pulse).map_err(no_thread)?;
    // Before all that could hang.
    let beat = pulse.watch("main", PATIENCE);
    beat.work();
    let tell = events.clone();
    watchdog::start(pulse.clone(), Arc::clone(&notifier), move |stuck| {
        drop(tell.send(Event::Stuck(stuck)));
    })
    .map_err(no_thread)?;
    let mut house = open(
        config,
        in_force,
        file,
        &folder,
        arguments.cache.clone(),
        &Threads {
            events,
            pulse,
            notifier,
        },
    )?;
    house.begin();
    live(&mut house, &heard, &beat);
    let gives_up = house.at.gives_up.take();
    leave(house);
    gives_up.map_or(Ok(()), |line| Err(Failure::Failed(line)))
}

/// What all threads have in common.
struct Threads {
    /// Where they tell what they hear.
    events: Sender<Event>,
    pulse: Pulse,
    notifier: Arc<Notifier>,
}

/// Hears and works until it is told to stop.
fn live(house: &mut House, heard: &Receiver<Event>, beat: &Beat) {
    loop {
        beat.work();
        let sleep = house.work().min(house.guard.look_every());
        if house.is_done() {
            return;
        }
        beat.rest();
        let event = heard.recv_timeout(sleep);
        beat.work();
        match event {
            Ok(event) => {
                house.hear(event);
                // All that came meanwhile, so that the newest counts.
                heard.try_iter().for_each(|event| house.hear(event));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Opens all that the house needs. Only what it cannot be without is an error: a broken panel or a broker that is away is
/// reported, and the rest goes on.
fn open(
    config: Config,
    in_force: InForce,
    file: &Path,
    folder: &Path,
    cache: Option<OsString>,
    threads: &Threads,
) -> Result<House, Failure> {
    let Threads {
        events,
        pulse,
        notifier,
    } = threads;
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let (queue, recovered) = Queue::open(&folder.join("queue"), &config.queue, jobs::Moment::now())
        .map_err(|error| failed(&error))?;
    recovered.problems().iter().for_each(|text| log(text));
    let history =
        History::open(&folder.join("history"), &config.history).map_err(|error| failed(&error))?;
    let (live_file, live, problems) = LiveFile::open(folder);
    problems.iter().for_each(|text| log(text));
    let guard = Guard::new(&config.limits, folder, Arc::clone(notifier));
    let kiosk = open_kiosk(&config, &live, &guard);
    let (display, panel_problem) = open_display(&config, &live, folder, pulse);
    let identity = Identity::of_machine(
        &config.broker,
        &config.board.name,
        &config.board.description,
    );
    let address = format!("easel/{}/paint", identity.device);
    let client = open_client(&config, identity, folder, threads)?;
    let model_dir = find_model(config.model.dir.as_deref(), file);
    let reports = events.clone();
    let painter = Painter::start(
        {
            let (dir, file) = (config.model.dir.clone(), file.to_owned());
            move || find_model(dir.as_deref(), &file)
        },
        LoadOptions {
            threads: config.model.threads,
            memory_mib: config.model.memory_mib,
            cache: engine::cache(cache),
            ..LoadOptions::default()
        },
        pulse,
        move |report| drop(reports.send(Event::Painter(report))),
    )
    .map_err(|error| {
        failed(&format!(
            "the painter's thread: {error}: is there memory left?"
        ))
    })?;
    let clock = Clock::new(config.kiosk.timezone.clone().map(|zone| zone.0));
    let playlist = config.kiosk.playlist.clone().map(PlaylistFile::new);
    let inputs = start_inputs(&config.inputs, events, pulse);
    Ok(House {
        inputs,
        pulse: pulse.clone(),
        events: events.clone(),
        in_force,
        queue,
        history,
        kiosk,
        playlist,
        live,
        live_file,
        clock,
        painter,
        display,
        panel_problem: panel_problem.clone(),
        client,
        address,
        model_dir: model_dir.ok(),
        random: random_number,
        guard,
        at: Situation {
            // It is in the log already.
            panel_said: panel_problem,
            ..Situation::default()
        },
        config,
    })
}

fn open_kiosk(config: &Config, live: &live::Live, guard: &Guard) -> Kiosk {
    if guard.is_cautious() {
        log(&guard.early_ends());
    }
    Kiosk::new(
        config.kiosk.clone(),
        Vec::new(),
        live.kiosk.clone(),
        random_number(),
    )
}

fn open_display(
    config: &Config,
    live: &live::Live,
    folder: &Path,
    pulse: &Pulse,
) -> (Option<Display>, Option<String>) {
    let mut look = config.panel.look();
    look.rotation = live.rotation.unwrap_or(look.rotation);
    let opened = display::open(&config.panel, folder)
        .map_err(|error| error.to_string())
        .and_then(|panel| {
            Display::start(panel, look, SystemClock, pulse)
                .map_err(|error| format!("panel: {error}"))
        });
    match opened {
        Ok(display) => {
            display.set_brightness(live.brightness.unwrap_or(config.panel.brightness));
            (Some(display), None)
        }
        Err(problem) => {
            log(&format!("{problem}; painting and publishing go on"));
            (None, Some(problem))
        }
    }
}

fn open_client(
    config: &Config,
    identity: Identity,
    folder: &Path,
    Threads { events, pulse, .. }: &Threads,
) -> Result<Option<Client>, Failure> {
    if config.broker.address().is_none() {
        log("no broker: prompts come from the playlist and from buttons");
        return Ok(None);
    }
    let events = events.clone();
    let tell = move |inbound| drop(events.send(Event::Broker(Box::new(inbound))));
    let client = if config.broker.embedded {
        Client::start_with_broker(&config.broker, identity, folder, pulse, tell)
    } else {
        Client::start(&config.broker, identity, pulse, tell)
    };
    client
        .map(Some)
        .map_err(|error| Failure::Usage(error.to_string()))
}

fn start_inputs(
    settings: &inputs::InputsSettings,
    events: &Sender<Event>,
    pulse: &Pulse,
) -> Option<inputs::Inputs> {
    let events = events.clone();
    let started = inputs::start(settings, pulse, move |input| {
        drop(events.send(Event::Input(input)));
    });
    started
        .map_err(|error| log(&format!("inputs: {error}: buttons do nothing")))
        .ok()
}

fn find_model(dir: Option<&Path>, file: &Path) -> Result<PathBuf, String> {
    let found = match dir {
        Some(dir) => model_lookup::named(dir, &format!("model.dir of {}", file.display())),
        None => model_lookup::find(None),
    };
    found.map_err(|failure| failure.text().to_owned())
}

/// Ends the threads. None is waited for without end: what is left of them ends with the process.
fn leave(mut house: House) {
    let begun = house.at.stopping.unwrap_or_else(Instant::now);
    let left = |most: Duration| most.saturating_sub(begun.elapsed());
    house.leave_the_painter();
    house.work();
    let House {
        painter,
        display,
        client,
        ..
    } = house;
    if !painter.stop(left(PAINTER_STOPS)) {
        log("the painter does not stop: it ends with the process");
    }
    let farewell = left(LONGEST_STOP).min(FAREWELL);
    // Side by side, so that neither takes the other's time.
    let farewells = std::thread::Builder::new().name("farewell".to_owned());
    // Without a thread the broker says `offline`, as the last will.
    let said = client.map(|client| farewells.spawn(move || client.stop(farewell)));
    if display.is_some_and(|display| !display.stop(farewell)) {
        log("panel: it does not take its last screen in time");
    }
    let was_said = |thread: std::thread::JoinHandle<bool>| thread.join().unwrap_or_default();
    if said.is_some_and(|said| !said.is_ok_and(was_said)) {
        log("broker: not all that was to be said could be said");
    }
    log(&format!("stopped in {} ms", begun.elapsed().as_millis()));
}

/// Asks the system to stop, as the button says; a process that may not is told so by the log.
fn shut_down() {
    match std::process::Command::new("systemctl")
        .arg("poweroff")
        .status()
    {
        Ok(status) if status.success() => {}
        Ok(status) => log(&format!("shutdown: systemctl poweroff: {status}")),
        Err(error) => log(&format!("shutdown: systemctl poweroff: {error}")),
    }
}

/// Not for secrets: std's hash keys come from the system's random source, once a process.
fn random_number() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(Instant::now())
}
