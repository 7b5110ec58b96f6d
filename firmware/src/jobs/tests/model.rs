//! What the queue should do, told a second time without a disk, and compared with it.

use super::{Clock, id, open};
use crate::jobs::{
    Cancel, JournalError, NewJob, Order, Outcome, Pushed, Queue, Rejection, Source, Status,
};
use proptest::prelude::*;
use std::time::Duration;

/// Something that is done to the queue.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Push {
        name: Option<u8>,
        source: Source,
        ttl: Option<u64>,
        random: u64,
    },
    Take,
    Expire,
    /// Ends what is being painted.
    Finish(Outcome),
    Release,
    Cancel(u8),
    Wait(u64),
    /// The program is told to stop, and ends without the painter.
    Unstopped,
    /// The program ends and starts.
    Restart,
    /// The machine does.
    PowerCut,
    /// The journal has grown.
    Outgrow,
}

impl Operation {
    /// Whether the queue is to be opened anew before.
    pub(super) fn begins_anew(&self, clock: &mut Clock) -> bool {
        clock.boot += u32::from(matches!(self, Self::PowerCut));
        matches!(self, Self::PowerCut | Self::Restart)
    }
}

/// What it answered, as far as the model can say.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Queued(String, usize),
    Known(String, Status),
    Rejected(&'static str),
    Taken {
        job: Option<(String, u32)>,
        expired: Vec<String>,
        set_aside: Vec<String>,
    },
    Ended(Vec<String>),
    Cancelled(&'static str),
    Nothing,
}

#[derive(Debug, Clone, PartialEq)]
struct ModelJob {
    name: String,
    kiosk: bool,
    seed: u64,
    deadline: Option<u64>,
    attempts: u32,
    power_cuts: u32,
    unstopped: u32,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Model {
    /// In the order of acceptance.
    people: Vec<ModelJob>,
    kiosk: Vec<ModelJob>,
    painting: Option<ModelJob>,
    finished: Vec<(String, Status)>,
    accepted: u64,
    now: u64,
}

pub(super) const CAPACITY: usize = 4;

impl Model {
    fn lane(&mut self, kiosk: bool) -> &mut Vec<ModelJob> {
        if kiosk {
            &mut self.kiosk
        } else {
            &mut self.people
        }
    }

    fn end(&mut self, name: &str, status: Status) {
        self.finished.push((name.to_owned(), status));
    }

    fn status(&self, name: &str) -> Option<Status> {
        let waits = |job: &ModelJob| job.name == name;
        if self.people.iter().chain(&self.kiosk).any(waits) {
            return Some(Status::Queued);
        }
        if self.painting.as_ref().is_some_and(waits) {
            return Some(Status::Painting);
        }
        let finished = self.finished.iter().find(|(finished, _)| finished == name);
        finished.map(|(_, status)| *status)
    }

    fn push(&mut self, name: Option<u8>, source: Source, ttl: Option<u64>, random: u64) -> Answer {
        let name = match name {
            Some(name) => {
                let name = id(name).to_string();
                if let Some(status) = self.status(&name) {
                    return Answer::Known(name, status);
                }
                name
            }
            None => format!("{}-{:08x}", self.accepted, random >> 32),
        };
        if ttl == Some(0) {
            return Answer::Rejected("expired");
        }
        let kiosk = source == Source::Kiosk;
        let before = self.people.len() + if kiosk { self.kiosk.len() } else { 0 };
        if before >= CAPACITY {
            return Answer::Rejected("queue_full");
        }
        let job = ModelJob {
            name: name.clone(),
            kiosk,
            seed: random % (1 << 32),
            deadline: ttl.map(|ttl| self.now + ttl),
            attempts: 0,
            power_cuts: 0,
            unstopped: 0,
        };
        self.lane(kiosk).push(job);
        self.accepted += 1;
        Answer::Queued(name, before)
    }

    fn expire(&mut self) -> Vec<String> {
        let now = self.now;
        let mut expired = Vec::new();
        for lane in [&mut self.people, &mut self.kiosk] {
            lane.retain(|job| {
                let stays = job.deadline.is_none_or(|deadline| now < deadline);
                if !stays {
                    expired.push(job.name.clone());
                }
                stays
            });
        }
        for name in &expired {
            self.end(name, Status::Error);
        }
        expired
    }

    fn take(&mut self) -> Answer {
        let expired = self.expire();
        let mut set_aside = Vec::new();
        while self.painting.is_none() {
            let lane = self.lane(false).is_empty();
            let Some(mut job) = self.lane(lane).first().cloned() else {
                break;
            };
            self.lane(lane).remove(0);
            let crashes = job.attempts - job.power_cuts - job.unstopped;
            if crashes == 2 || job.power_cuts == 5 || job.unstopped == 5 {
                self.end(&job.name, Status::Error);
                set_aside.push(job.name);
                continue;
            }
            job.attempts += 1;
            self.painting = Some(job);
            let job = self.painting.as_ref();
            return Answer::Taken {
                job: job.map(|job| (job.name.clone(), job.attempts)),
                expired,
                set_aside,
            };
        }
        Answer::Taken {
            job: None,
            expired,
            set_aside,
        }
    }

    /// It came before all of its kind.
    fn put_back(&mut self, attempt_counts: bool, power: bool) {
        if let Some(mut job) = self.painting.take() {
            job.attempts -= u32::from(!attempt_counts);
            job.power_cuts += u32::from(power);
            self.lane(job.kiosk).insert(0, job);
        }
    }

    pub(super) fn apply(&mut self, operation: &Operation) -> Answer {
        match operation {
            Operation::Push {
                name,
                source,
                ttl,
                random,
            } => self.push(*name, *source, *ttl, *random),
            Operation::Take => self.take(),
            Operation::Expire => Answer::Ended(self.expire()),
            Operation::Finish(outcome) => {
                let job = self.painting.take();
                if let Some(job) = &job {
                    self.end(&job.name, outcome.status());
                }
                Answer::Ended(job.into_iter().map(|job| job.name).collect())
            }
            Operation::Release => {
                self.put_back(false, false);
                Answer::Nothing
            }
            Operation::Cancel(name) => {
                let name = id(*name).to_string();
                match self.status(&name) {
                    Some(Status::Queued) => {
                        self.people.retain(|job| job.name != name);
                        self.kiosk.retain(|job| job.name != name);
                        self.end(&name, Status::Cancelled);
                        Answer::Cancelled("waiting")
                    }
                    Some(Status::Painting) => {
                        self.painting = None;
                        self.end(&name, Status::Cancelled);
                        Answer::Cancelled("painting")
                    }
                    _ => Answer::Cancelled("unknown"),
                }
            }
            Operation::Wait(seconds) => {
                self.now += seconds;
                Answer::Nothing
            }
            Operation::Unstopped => {
                if let Some(job) = &mut self.painting {
                    job.unstopped += 1;
                }
                self.put_back(true, false);
                Answer::Nothing
            }
            Operation::Restart | Operation::PowerCut => {
                self.put_back(true, matches!(operation, Operation::PowerCut));
                Answer::Nothing
            }
            Operation::Outgrow => Answer::Nothing,
        }
    }

    /// Fails where the queue is not what it should be.
    pub(super) fn differs(&self, queue: &Queue) -> Option<String> {
        let waiting: Vec<_> = queue.waiting().map(seen).collect();
        let should: Vec<_> = self.people.iter().chain(&self.kiosk).map(told).collect();
        if waiting != should {
            return Some(format!("waiting: {waiting:?}, not {should:?}"));
        }
        let painting = queue.painting().map(seen);
        let should = self.painting.as_ref().map(told);
        if painting != should {
            return Some(format!("painting: {painting:?}, not {should:?}"));
        }
        let names = (0..NAMES).map(|name| id(name).to_string());
        for name in names.chain(self.finished.iter().map(|(name, _)| name.clone())) {
            let status = queue.status(&name.parse().expect("it is right"));
            if status != self.status(&name) {
                return Some(format!("{name}: {status:?}, not {:?}", self.status(&name)));
            }
        }
        None
    }
}

fn seen(job: &crate::jobs::Job) -> (String, u64, u32) {
    let seed = job.order.seed.expect("it is fixed");
    (job.id.to_string(), seed, job.attempts)
}

fn told(job: &ModelJob) -> (String, u64, u32) {
    (job.name.clone(), job.seed, job.attempts)
}

/// Does it to the queue. `Restart` and `PowerCut` are the caller's.
pub(super) fn run(
    queue: &mut Queue,
    clock: &mut Clock,
    operation: &Operation,
) -> Result<Answer, JournalError> {
    let now = clock.now();
    let names = |jobs: Vec<crate::jobs::Job>| jobs.iter().map(|job| job.id.to_string()).collect();
    let painting = |queue: &Queue| queue.painting().map(|job| job.id.clone());
    Ok(match operation {
        Operation::Push {
            name,
            source,
            ttl,
            random,
        } => {
            let job = NewJob {
                id: name.map(id),
                ttl: ttl.map(Duration::from_secs),
                ..NewJob::new(Order::new("a \"cat\"\nat night"), *source)
            };
            match queue.push(job, *random, now) {
                Ok(Pushed::Queued { id, position }) => Answer::Queued(id.to_string(), position),
                Ok(Pushed::Known { id, status, .. }) => Answer::Known(id.to_string(), status),
                Err(Rejection::Disk(error) | Rejection::DiskFull(error)) => return Err(error),
                Err(rejection) => Answer::Rejected(rejection.name()),
            }
        }
        Operation::Take => {
            let taken = queue.take(now)?;
            Answer::Taken {
                job: taken.job.map(|job| (job.id.to_string(), job.attempts)),
                expired: names(taken.expired),
                set_aside: names(taken.set_aside),
            }
        }
        Operation::Expire => Answer::Ended(names(queue.expire(now)?)),
        Operation::Finish(outcome) => {
            let id = painting(queue);
            let ended = id
                .map(|id| queue.finish(&id, outcome.clone()))
                .transpose()?;
            Answer::Ended(names(ended.flatten().into_iter().collect()))
        }
        Operation::Release => {
            if let Some(id) = painting(queue) {
                assert!(queue.release(&id)?, "it is being painted");
            }
            Answer::Nothing
        }
        Operation::Unstopped => {
            if let Some(id) = painting(queue) {
                assert!(queue.unstopped(&id)?, "it is being painted");
            }
            Answer::Nothing
        }
        Operation::Cancel(name) => Answer::Cancelled(match queue.cancel(&id(*name))? {
            Cancel::Waiting(job) => {
                assert_eq!(job.id, id(*name));
                "waiting"
            }
            Cancel::Painting(job) => {
                assert_eq!(job.id, id(*name));
                "painting"
            }
            Cancel::Unknown => "unknown",
        }),
        Operation::Wait(seconds) => {
            clock.seconds += seconds;
            Answer::Nothing
        }
        Operation::Outgrow => {
            queue.outgrow();
            Answer::Nothing
        }
        Operation::Restart | Operation::PowerCut => Answer::Nothing,
    })
}

/// Names that jobs are given.
const NAMES: u8 = 6;

pub(super) fn operation() -> impl Strategy<Value = Operation> {
    let source = prop_oneof![
        Just(Source::Mqtt),
        Just(Source::Fleet),
        Just(Source::Kiosk),
        Just(Source::Button),
    ];
    let push = (
        proptest::option::weighted(0.6, 0..NAMES),
        source,
        proptest::option::weighted(0.4, 0_u64..20),
        any::<u64>(),
    )
        .prop_map(|(name, source, ttl, random)| Operation::Push {
            name,
            source,
            ttl,
            random,
        });
    let outcome = prop_oneof![
        Just(Outcome::Done),
        Just(Outcome::Cancelled),
        Just(Outcome::Error("no memory".to_owned())),
    ];
    prop_oneof![
        6 => push,
        4 => Just(Operation::Take),
        1 => Just(Operation::Expire),
        3 => outcome.prop_map(Operation::Finish),
        1 => Just(Operation::Release),
        2 => (0..NAMES).prop_map(Operation::Cancel),
        2 => (1_u64..10).prop_map(Operation::Wait),
        1 => Just(Operation::Unstopped),
        3 => Just(Operation::Restart),
        3 => Just(Operation::PowerCut),
        1 => Just(Operation::Outgrow),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_queue_does_as_the_model(operations in proptest::collection::vec(operation(), 1..80)) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut clock = Clock::new();
        let mut queue = open(folder.path(), &clock);
        let mut model = Model::default();
        for operation in &operations {
            if operation.begins_anew(&mut clock) {
                drop(queue);
                queue = open(folder.path(), &clock);
            }
            let answer = run(&mut queue, &mut clock, operation).expect("the disk is whole");
            prop_assert_eq!(answer, model.apply(operation), "{:?}", operation);
            prop_assert_eq!(model.differs(&queue), None, "{:?}", operation);
        }
        drop(queue);
        model.apply(&Operation::Restart);
        prop_assert_eq!(model.differs(&open(folder.path(), &clock)), None);
    }
}
