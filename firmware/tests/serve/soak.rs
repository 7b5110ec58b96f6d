//! Prompts one after the other, each to an idle board: what it takes of the machine stays what it was, and how long a prompt
//! waits for the painter is printed.

use super::broker::Broker;
use super::daemon::{Daemon, configuration};
use super::dashboard::Dashboard;
use std::fs;
use std::time::{Duration, Instant};

/// Prompts when nobody asks for minutes.
const PROMPTS: usize = 120;
/// Of an idle daemon, between the second quarter and the last. Not less: the heap grows by a megabyte or four at some early prompt,
/// which one is chance, and then no more.
const MOST_GROWTH_KIB: u64 = 8192;

/// What an idle daemon takes of the machine.
#[derive(Clone, Copy)]
struct Taken {
    rss_kib: u64,
    files: u64,
    threads: u64,
}

impl Taken {
    fn by(daemon: &Daemon) -> Self {
        let process = format!("/proc/{}", daemon.id());
        let status = fs::read_to_string(format!("{process}/status")).expect("it runs");
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            number.expect("it is there").parse().expect("a number")
        };
        Self {
            rss_kib: number("VmRSS:"),
            files: fs::read_dir(format!("{process}/fd"))
                .expect("it runs")
                .count() as u64,
            threads: number("Threads:"),
        }
    }

    /// The median of the memory; the least of the others, as a file may be open just now.
    fn typical(taken: &[Self]) -> Self {
        let mut memory: Vec<u64> = taken.iter().map(|taken| taken.rss_kib).collect();
        memory.sort_unstable();
        let least = |of: fn(&Self) -> u64| taken.iter().map(of).min().expect("there are some");
        Self {
            rss_kib: memory[memory.len() / 2],
            files: least(|taken| taken.files),
            threads: least(|taken| taken.threads),
        }
    }
}

/// Of so many, the one that `percent` of them do not exceed.
fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * percent).div_ceil(100) - 1]
}

/// One that asks and one that listens. On one connection the broker's acknowledgement of the question would hold the
/// answer back by the 40 ms of Nagle's algorithm and delayed acknowledgements, which is not the board's doing.
struct People {
    asks: Dashboard,
    listens: Dashboard,
}

impl People {
    fn on(broker: &Broker) -> Self {
        let topics =
            ["response", "state", "availability"].map(|name| format!("easel/frame/{name}"));
        Self {
            asks: Dashboard::open(broker.port, &[]),
            listens: Dashboard::open(broker.port, &topics.each_ref().map(String::as_str)),
        }
    }

    /// Has one prompt painted by an idle board; the time from its publication to the news that it is being painted.
    fn have_painted(&self, number: usize) -> Duration {
        self.listens.forget();
        let order = format!(
            r#"{{"prompt": "{number} red apples", "id": "job-{number}", "seed": {number}, "steps": 1}}"#
        );
        let published = Instant::now();
        self.asks.publish("easel/frame/paint", order);
        self.listens.text("easel/frame/response", r#""painting""#);
        let waited = published.elapsed();
        self.listens.text("easel/frame/response", r#""done""#);
        self.listens.text("easel/frame/state", r#""idle""#);
        waited
    }
}

fn tell(waited: &[Duration], taken: &Taken, begun: Instant) {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "{:4} s, {:5} prompts: from publication to `painting` p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms; {} KiB, {} files, {} threads",
        begun.elapsed().as_secs(),
        waited.len(),
        ms(percentile(waited, 50)),
        ms(percentile(waited, 99)),
        ms(percentile(waited, 100)),
        taken.rss_kib,
        taken.files,
        taken.threads
    );
}

/// `EASEL_SOAK_MINUTES=60` makes it an hour, with a prompt every few seconds: docs/reliability.md.
#[test]
fn prompt_after_prompt_takes_no_more_of_the_machine() {
    let asked = std::env::var("EASEL_SOAK_MINUTES").ok();
    let minutes: Option<u64> = asked.map(|minutes| minutes.parse().expect("a number of minutes"));
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    // Full soon, as a board's is for most of its life.
    let configuration = configuration(&broker).replace("pictures = 10000", "pictures = 10");
    let people = People::on(&broker);
    let daemon = Daemon::run(&configuration, folder.path(), |_| {});
    people.listens.text("easel/frame/availability", "online");
    // The model is loaded with the first.
    people.have_painted(0);

    let begun = Instant::now();
    let (mut waited, mut taken) = (Vec::new(), Vec::new());
    let is_over = |prompts: usize| {
        minutes.map_or(prompts == PROMPTS, |minutes| {
            begun.elapsed() >= Duration::from_secs(60 * minutes)
        })
    };
    while !is_over(waited.len()) {
        waited.push(people.have_painted(1 + waited.len()));
        taken.push(Taken::by(&daemon));
        // People think before they ask again, and never in time with what the board does by itself.
        let thinks = if minutes.is_some() {
            1000..4000
        } else {
            50..150
        };
        std::thread::sleep(Duration::from_millis(fastrand::u64(thinks)));
        if waited.len().is_multiple_of(50) {
            tell(&waited, taken.last().expect("it was just put there"), begun);
        }
    }
    tell(&waited, taken.last().expect("there were some"), begun);
    daemon.stop();

    let quarter = taken.len() / 4;
    let early = Taken::typical(&taken[quarter..2 * quarter]);
    let late = Taken::typical(&taken[taken.len() - quarter..]);
    for (
        when,
        Taken {
            rss_kib,
            files,
            threads,
        },
    ) in [("second", early), ("last", late)]
    {
        println!("typical of the {when} quarter: {rss_kib} KiB, {files} files, {threads} threads");
    }
    assert!(
        late.rss_kib <= early.rss_kib + MOST_GROWTH_KIB,
        "it grows from {} to {} KiB",
        early.rss_kib,
        late.rss_kib
    );
    assert_eq!(
        (late.files, late.threads),
        (early.files, early.threads),
        "files and threads"
    );
}
