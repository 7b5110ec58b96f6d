//! Runs cases under a watch: in a process of their own, so that one that ends it, hangs or asks for the machine's memory is a
//! line in a report.
//!
//! The test binary starts itself with [`WORKER`] as its only test; that process reads numbers of cases from its standard input, one a
//! line, and answers with a line of JSON each.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use easel::{CancelToken, Error, LoadOptions, PaintRequest, Pipeline};
use serde_json::{Value, json};

/// The test that is a worker when it is told of which cases.
pub(crate) const WORKER: &str = "worker";
const GROUP: &str = "EASEL_HOSTILE_GROUP";
/// What is promised are two seconds; the machine may have other work to do. `EASEL_HOSTILE_SECONDS` says otherwise.
fn limit() -> Duration {
    let seconds = std::env::var("EASEL_HOSTILE_SECONDS").ok();
    Duration::from_secs(seconds.map_or(20, |seconds| seconds.parse().expect("a number")))
}
/// KiB that a worker may map, so that a case cannot take the machine down.
const MAPPED_KIB: u64 = 12 << 20;
/// MiB that the memory in use may grow by.
const MEMORY_MIB: u64 = 400;
const MARK: &str = "@@";

/// What is right for a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    Refused,
    Paints,
    /// It is no rubbish that can be told from a model: a picture or a refusal.
    Either,
}

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) right: Right,
    /// What the line of a refusal must say.
    pub(crate) says: Vec<&'static str>,
    /// Makes the model in an empty folder.
    pub(crate) make: Box<dyn Fn(&Path)>,
}

impl Case {
    pub(crate) fn new(
        name: impl Into<String>,
        right: Right,
        make: impl Fn(&Path) + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            right,
            says: Vec::new(),
            make: Box::new(make),
        }
    }

    /// The line of its refusal must say this.
    pub(crate) fn saying(mut self, says: &[&'static str]) -> Self {
        self.says.extend(says);
        self
    }
}

/// How one case went.
struct Outcome {
    /// `painted`, `refused`, `panicked` (it reached the caller), `died`, `hung`.
    end: String,
    text: String,
    millis: u64,
    peak_mib: u64,
    /// Panics, also those that were caught.
    panics: Vec<String>,
}

/// Of a group with more cases than this, every second or third and so on is run, unless `EASEL_HOSTILE_ALL` is set.
const MANY: usize = 120;

/// Runs the cases of the group, and fails with a list of those that went wrong.
pub(crate) fn watch(group: &str, cases: &[Case]) {
    let only = std::env::var("EASEL_HOSTILE_ONLY").ok();
    let all = only.is_some() || std::env::var_os("EASEL_HOSTILE_ALL").is_some();
    let every = if all {
        1
    } else {
        cases.len().div_ceil(MANY).max(1)
    };
    let mut worker = Worker::start(group);
    let (mut wrong, mut report) = (Vec::new(), String::new());
    let (mut slowest, mut largest, mut caught) = ((0, ""), (0, ""), 0);
    let clock = Instant::now();
    for (number, case) in cases.iter().enumerate().step_by(every) {
        if only.as_ref().is_some_and(|only| !case.name.contains(only)) {
            continue;
        }
        let outcome = worker.run(number);
        slowest = slowest.max((outcome.millis, &case.name));
        largest = largest.max((outcome.peak_mib, &case.name));
        caught += usize::from(!outcome.panics.is_empty());
        let problem = judge(case, &outcome);
        let _ = writeln!(
            report,
            "{group}\t{}\t{}\t{}\t{} ms\t{} MiB\t{}\t{}",
            case.name,
            problem.as_deref().unwrap_or("ok"),
            outcome.end,
            outcome.millis,
            outcome.peak_mib,
            outcome.text.escape_debug(),
            outcome.panics.join(" | ")
        );
        if let Some(problem) = problem {
            wrong.push(format!(
                "{}: {problem}: {} {} {}",
                case.name,
                outcome.end,
                outcome.text.escape_debug(),
                outcome.panics.join(" | ")
            ));
        }
        if matches!(outcome.end.as_str(), "died" | "hung") {
            worker = Worker::start(group);
        }
    }
    println!(
        "{group}: {} of {} cases in {:.1} s; slowest {} ms ({}), largest {} MiB ({}), {caught} with a panic that was caught or not",
        cases.len().div_ceil(every),
        cases.len(),
        clock.elapsed().as_secs_f64(),
        slowest.0,
        slowest.1,
        largest.0,
        largest.1
    );
    if let Ok(folder) = std::env::var("EASEL_HOSTILE_REPORT") {
        fs::write(Path::new(&folder).join(format!("{group}.tsv")), report).expect("written");
    }
    let shown: Vec<&str> = wrong.iter().take(60).map(String::as_str).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} cases of {group}:\n{}",
        wrong.len(),
        cases.len(),
        shown.join("\n")
    );
}

/// What is wrong with how it went.
fn judge(case: &Case, outcome: &Outcome) -> Option<String> {
    match (outcome.end.as_str(), case.right) {
        ("refused", Right::Paints) => return Some("should paint".into()),
        ("painted", Right::Refused) => return Some("should be refused".into()),
        ("painted" | "refused", _) => {}
        (end, _) => return Some(end.to_owned()),
    }
    if outcome.millis > limit().as_millis() as u64 {
        return Some("too slow".into());
    }
    if outcome.peak_mib > MEMORY_MIB {
        return Some(format!("took {} MiB", outcome.peak_mib));
    }
    if outcome.end == "refused" {
        let line = &outcome.text;
        if line.is_empty() || line.chars().any(char::is_control) || line.len() > 1000 {
            return Some("not one line".into());
        }
        let missing = case.says.iter().find(|part| !line.contains(**part));
        return missing.map(|part| format!("does not say `{part}`"));
    }
    None
}

struct Worker {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
    errors: tempfile::NamedTempFile,
}

impl Worker {
    fn start(group: &str) -> Self {
        let errors = tempfile::NamedTempFile::new().expect("a temporary file");
        let stderr = File::create(errors.path()).expect("a temporary file");
        let binary = std::env::current_exe().expect("the test's own file");
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!(
                "ulimit -v {MAPPED_KIB} && ulimit -c 0 && exec \"$0\" \"$@\""
            ))
            .arg(binary)
            .args([WORKER, "--exact", "--nocapture", "--test-threads=1"])
            .env(GROUP, group)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the test's own file runs");
        let (sender, answers) = channel();
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some((_, line)) = line.split_once(MARK)
                    && sender.send(line.to_owned()).is_err()
                {
                    break;
                }
            }
        });
        Self {
            input: child.stdin.take().expect("it is piped"),
            child,
            answers,
            errors,
        }
    }

    fn run(&mut self, number: usize) -> Outcome {
        let clock = Instant::now();
        let asked = writeln!(self.input, "{number}").and_then(|()| self.input.flush());
        // First its line that the model is made, which is no part of the measure.
        let made = match asked {
            Ok(()) => self.answers.recv_timeout(10 * limit()),
            Err(_) => Err(RecvTimeoutError::Disconnected),
        };
        let answer = made.and_then(|_| self.answers.recv_timeout(limit()));
        let ended = |end: &str, text| Outcome {
            end: end.to_owned(),
            text,
            millis: clock.elapsed().as_millis() as u64,
            peak_mib: 0,
            panics: Vec::new(),
        };
        match answer {
            Ok(answer) => {
                let answer: Value = serde_json::from_str(&answer).expect("JSON");
                let number = |key: &str| answer[key].as_u64().expect("a number");
                let text = |value: &Value| value.as_str().expect("text").to_owned();
                Outcome {
                    end: text(&answer["end"]),
                    text: text(&answer["text"]),
                    millis: number("millis"),
                    peak_mib: number("peak_mib"),
                    panics: answer["panics"]
                        .as_array()
                        .expect("a list")
                        .iter()
                        .map(text)
                        .collect(),
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                let state = thread_states(self.child.id());
                let _ = self.child.kill();
                let _ = self.child.wait();
                ended("hung", state)
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait().expect("it ended");
                let errors = fs::read(self.errors.path()).unwrap_or_default();
                let errors = String::from_utf8_lossy(&errors).replace('\n', " ");
                let start: String = errors.chars().take(300).collect();
                ended("died", format!("{status} {start}"))
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What its threads were doing.
fn thread_states(process: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let wanted = |line: &&str| line.starts_with("State") || line.starts_with("VmRSS");
    status.lines().filter(wanted).collect::<Vec<_>>().join(" ")
}

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The worker's side: nothing if this is no worker.
pub(crate) fn work(cases_of: impl Fn(&str) -> Vec<Case>) {
    let Ok(group) = std::env::var(GROUP) else {
        return;
    };
    let cases = cases_of(&group);
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.to_string().replace('\n', " ");
        let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
        panics.push(text.chars().take(300).collect());
    }));
    for line in std::io::stdin().lines() {
        let number: usize = line.expect("a line").trim().parse().expect("a number");
        println!("{MARK}{}", answer(&cases[number]));
    }
}

fn answer(case: &Case) -> Value {
    let folder = tempfile::tempdir().expect("a temporary folder");
    (case.make)(folder.path());
    println!("{MARK}made");
    let before = resident("VmRSS:");
    // Begins the peak anew.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let clock = Instant::now();
    let path = folder.path().to_owned();
    // Of its own, as a caller's may be: 2 MiB of stack.
    let result = std::thread::spawn(move || painted(&path)).join();
    let millis = clock.elapsed().as_millis() as u64;
    let peak_mib = resident("VmHWM:").saturating_sub(before) >> 10;
    let (end, text) = match result {
        Ok(Ok(finite)) if finite => ("painted", String::new()),
        Ok(Ok(_)) => ("panicked", "painted what is not finite".to_owned()),
        Ok(Err(error)) => (
            "refused",
            error
                .to_string()
                .replace(&folder.path().display().to_string(), "DIR"),
        ),
        Err(_) => ("panicked", String::new()),
    };
    let panics = std::mem::take(&mut *PANICS.lock().unwrap_or_else(PoisonError::into_inner));
    json!({"end": end, "text": text, "millis": millis, "peak_mib": peak_mib, "panics": panics})
}

/// KiB, as the kernel says.
fn resident(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Whether the latents of its picture are finite.
fn painted(model: &Path) -> Result<bool, Error> {
    let options = LoadOptions {
        threads: Some(1),
        ..LoadOptions::default()
    };
    let mut pipeline = Pipeline::load(model, &options)?;
    // All else as the model's own defaults say.
    let request = PaintRequest::new("a tree");
    let painting = pipeline.paint(&request, &CancelToken::new(), &mut |_| {})?;
    Ok(painting.latents.is_finite())
}
