//! The daemon beside the hostile models that the library's tests make, of each group some: put in place while it runs.
//!
//! It says in one line what is wrong, answers all the while, keeps its last picture, and paints again without a restart when the
//! model is put right. Several daemons at once, as most of the time is that until a daemon looks at its model again.
//! `EASEL_HOSTILE_ALL=1` takes more of each group, `EASEL_HOSTILE_ONLY=TEXT` those whose name has it. It prints a table.

use super::broker::{Broker, LONG};
use super::daemon::{Daemon, Ear, configuration, log_says, say};
use super::hostile::watch::{Case, Right};
use super::hostile::{GROUPS, cases};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Daemons at once.
const DAEMONS: usize = 16;
/// A cancel is answered within 2 s and a stop takes 5 s at most, on a machine with nothing else to do. Here, only a board that
/// waits for its painter fails.
const BOUND: Duration = Duration::from_secs(20);
/// A job that is not refused in this time is cancelled, whatever is being done.
const PATIENCE: Duration = Duration::from_secs(3);

/// How the cases of a group went.
#[derive(Default)]
struct Tally {
    cases: usize,
    reported: usize,
    painted: usize,
    cancelled: usize,
    answered: Duration,
    stopped: Duration,
    wrong: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.reported += other.reported;
        self.painted += other.painted;
        self.cancelled += other.cancelled;
        self.answered = self.answered.max(other.answered);
        self.stopped = self.stopped.max(other.stopped);
        self.wrong.extend(other.wrong);
    }
}

/// A daemon with a model of its own.
struct Board<'b> {
    broker: &'b Broker,
    device: String,
    folder: PathBuf,
    daemon: Option<Daemon>,
    states: Ear,
    responses: Ear,
}

impl<'b> Board<'b> {
    fn start(broker: &'b Broker, number: usize, folder: &Path) -> Self {
        let device = format!("frame{number}");
        let folder = folder.join(&device);
        fs::create_dir(&folder).expect("it can be made");
        let model = folder.join("model");
        (cases("whole")[0].make)(&model);
        let board = configuration(broker).replace("'frame'", &format!("'{device}'"));
        let board = format!("{board}[model]\ndir = '{}'\n", model.display());
        let daemon = Daemon::run(&board, &folder, |command| {
            let log = File::create(folder.join("log")).expect("it can be written");
            command.stderr(Stdio::from(log));
        });
        log_says(&folder, "listens on");
        let ear = |topic: &str| Ear::on(broker, &format!("easel/{device}/{topic}"));
        Self {
            broker,
            states: ear("state"),
            responses: ear("response"),
            device,
            folder,
            daemon: Some(daemon),
        }
    }

    fn say(&self, topic: &str, payload: &str) {
        say(
            self.broker,
            &format!("easel/{}/{topic}", self.device),
            payload,
        );
    }

    fn paint(&self, id: &str) {
        let order = format!(r#"{{"prompt": "a tree", "id": "{id}", "seed": 1}}"#);
        self.say("paint", &order);
    }

    /// The state of this job that is none of those on the way.
    fn ended(&self, id: &str, limit: Duration) -> Option<String> {
        let begun = Instant::now();
        while let Some(left) = limit.checked_sub(begun.elapsed()) {
            let answer = self.responses.heard_within(left)?;
            let status = answer["status"].as_str().unwrap_or_default();
            if answer["id"] == id && !["queued", "painting"].contains(&status) {
                return Some(status.to_owned());
            }
        }
        None
    }

    /// What is said to be wrong with the model, or that nothing is any more.
    fn problem(&self, wanted: bool, limit: Duration) -> Option<String> {
        let begun = Instant::now();
        while let Some(left) = limit.checked_sub(begun.elapsed()) {
            let problem = self.states.heard_within(left)?["problem"].clone();
            if (problem["code"] == "model") == wanted {
                return Some(problem["text"].as_str().unwrap_or_default().to_owned());
            }
        }
        None
    }

    fn picture(&self) -> Vec<u8> {
        Ear::on(self.broker, &format!("easel/{}/image", self.device)).next_bytes()
    }

    /// Puts this model in the place of the good one, which is kept; with `None` the good one again.
    fn swap(&self, case: Option<&Case>) {
        let [model, aside] = ["model", "aside"].map(|name| self.folder.join(name));
        if let Some(case) = case {
            fs::rename(&model, aside).expect("it is there");
            // Where it stays: there may be links to where it is made.
            fs::create_dir(&model).expect("it can be made");
            (case.make)(&model);
        } else {
            fs::remove_dir_all(&model).expect("it can be removed");
            fs::rename(aside, model).expect("it is there");
        }
    }

    /// One case, from the good model to the good model.
    fn bear(&mut self, case: &Case, number: usize, tally: &mut Tally) -> Result<(), String> {
        let picture = self.picture();
        let id = format!("case-{number}");
        self.swap(Some(case));
        self.paint(&id);
        let begun = Instant::now();
        let (mut problem, mut end) = (None, None);
        while begun.elapsed() < PATIENCE && problem.is_none() && end.is_none() {
            let little = Duration::from_millis(20);
            problem = self.problem(true, little);
            end = self.ended(&id, little);
        }
        if end.is_none() {
            let asked = Instant::now();
            self.say("cancel", &id);
            end = self.ended(&id, LONG);
            tally.answered = tally.answered.max(asked.elapsed());
            if asked.elapsed() > BOUND {
                return Err(format!("a cancel is answered after {:?}", asked.elapsed()));
            }
            tally.cancelled += 1;
        }
        let end = end.ok_or("a job without an answer")?;
        match (&problem, case.right) {
            (Some(text), _) => {
                tally.reported += 1;
                if text.is_empty() || text.contains(char::is_control) || text.len() > 1000 {
                    return Err(format!("not one line: {text:?}"));
                }
            }
            (None, Right::Refused) if end == "done" => return Err("it is painted".into()),
            _ => tally.painted += usize::from(end == "done"),
        }
        if end != "done" && self.picture() != picture {
            return Err("the last picture is gone".into());
        }
        self.swap(None);
        if problem.is_some() {
            let recovered = self.problem(false, LONG);
            recovered.ok_or("the good model is not noticed")?;
        }
        let again = format!("{id}-again");
        self.paint(&again);
        match self.ended(&again, LONG) {
            Some(end) if end == "done" => Ok(()),
            end => Err(format!("the good model is not painted: {end:?}")),
        }
    }

    /// Told to stop with this model in its hands.
    fn stop(&mut self, case: &Case, tally: &mut Tally) {
        self.swap(Some(case));
        self.paint("last");
        // Not a wait for a condition: at any moment of its work.
        std::thread::sleep(Duration::from_millis(300));
        let begun = Instant::now();
        if let Some(daemon) = self.daemon.take() {
            daemon.stop_within(BOUND);
        }
        tally.stopped = begun.elapsed();
    }
}

/// Groups and numbers of the cases that are taken.
fn chosen() -> Vec<(&'static str, usize)> {
    let only = std::env::var("EASEL_HOSTILE_ONLY").ok();
    let all = std::env::var_os("EASEL_HOSTILE_ALL").is_some();
    let mut chosen = Vec::new();
    // Exported ones are not there in every checkout.
    for group in GROUPS.into_iter().filter(|group| *group != "exported") {
        let cases = cases(group);
        let each = if all { 30 } else { 2 };
        let step = cases.len().div_ceil(each).max(1);
        let numbers = (0..cases.len()).filter(|at| match &only {
            Some(only) => cases[*at].name.contains(only),
            None => at % step == step / 2,
        });
        chosen.extend(numbers.map(|at| (group, at)));
    }
    chosen
}

#[test]
fn it_bears_every_kind_of_hostile_model() {
    let chosen = chosen();
    let daemons = DAEMONS.min(chosen.len());
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let work = |number: usize| {
        let mut board = Board::start(&broker, number, folder.path());
        let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
        board.paint("first");
        assert_eq!(board.ended("first", LONG).as_deref(), Some("done"));
        let mine: Vec<_> = chosen.iter().skip(number).step_by(daemons).collect();
        let mut made = ("", Vec::new());
        for (turn, (group, at)) in mine.iter().enumerate() {
            if made.0 != *group {
                made = (group, cases(group));
            }
            let case = &made.1[*at];
            let tally = tallies.entry(group).or_default();
            tally.cases += 1;
            let result = board.bear(case, turn, tally);
            let there = board.daemon.as_mut().is_some_and(Daemon::is_there);
            if let Err(what) = result.and_then(|()| there.then_some(()).ok_or("it is gone".into()))
            {
                let log = fs::read_to_string(board.folder.join("log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(4).collect();
                tally
                    .wrong
                    .push(format!("{group}: {}: {what}: {last:?}", case.name));
                // What it holds now is not known.
                return tallies;
            }
            if turn + 1 == mine.len() {
                board.stop(case, tally);
            }
        }
        tallies
    };
    let mut whole: BTreeMap<&str, Tally> = BTreeMap::new();
    std::thread::scope(|scope| {
        let work = &work;
        let daemons: Vec<_> = (0..daemons)
            .map(|number| scope.spawn(move || work(number)))
            .collect();
        for daemon in daemons {
            for (group, tally) in daemon.join().expect("it does not panic") {
                whole.entry(group).or_default().add(tally);
            }
        }
    });
    let mut table = String::from(
        "group | cases | reported | painted | cancelled | longest answer | longest stop\n",
    );
    for (group, tally) in &whole {
        let _ = writeln!(
            table,
            "{group} | {} | {} | {} | {} | {} ms | {} ms",
            tally.cases,
            tally.reported,
            tally.painted,
            tally.cancelled,
            tally.answered.as_millis(),
            tally.stopped.as_millis()
        );
    }
    println!("{table}");
    let wrong: Vec<&String> = whole.values().flat_map(|tally| &tally.wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
