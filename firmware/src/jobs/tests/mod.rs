mod crash;
pub(super) mod faulty_disk;
mod model;
mod pictures;
mod queue;
mod reading;

use super::disk::Disk;
use super::*;
use faulty_disk::FastDisk;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// A clock that runs when it is told to.
struct Clock {
    seconds: u64,
    wall: SystemTime,
    steady: Instant,
    /// How often the machine was started.
    boot: u32,
}

impl Clock {
    /// Starts on 2026-11-25.
    fn new() -> Self {
        Self {
            seconds: 0,
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_600_000),
            steady: Instant::now(),
            boot: 1,
        }
    }

    fn now(&self) -> Moment {
        let run = Duration::from_secs(self.seconds);
        Moment {
            wall: self.wall + run,
            steady: self.steady + run,
        }
    }

    /// What a board without a battery believes after a start.
    fn in_1970(mut self) -> Self {
        self.wall = SystemTime::UNIX_EPOCH + Duration::from_secs(12);
        self
    }
}

fn id(number: u8) -> JobId {
    format!("job-{number}").parse().expect("it is right")
}

fn settings() -> QueueSettings {
    QueueSettings {
        capacity: model::CAPACITY,
    }
}

fn open_on(disk: Arc<dyn Disk>, folder: &Path, clock: &Clock) -> (Queue, Recovered) {
    let boot = Some(format!("boot-{}", clock.boot));
    Queue::open_on(disk, folder, &settings(), boot, clock.now()).expect("it opens")
}

fn open(folder: &Path, clock: &Clock) -> Queue {
    let (queue, recovered) = open_on(Arc::new(FastDisk), folder, clock);
    assert_eq!(recovered.problems(), Vec::<String>::new());
    queue
}
