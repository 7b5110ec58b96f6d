use super::SchedulerKind;

/// What can be wrong with a scheduler's config, or with the way it is called.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchedulerError {
    /// The name given to `--scheduler`.
    #[error("unknown scheduler `{0}`: choose one of {names}", names = SchedulerKind::ALL.map(SchedulerKind::name).join(", "))]
    UnknownName(String),
    /// The file is not JSON.
    #[error("scheduler_config.json: not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The file is JSON, but not a config.
    #[error("scheduler_config.json: {0}")]
    Shape(&'static str),
    /// A class that easel does not have.
    #[error(
        "scheduler_config.json: class `{0}` is not one that easel has: choose another with --scheduler, in the request or in easel.json (ddim, euler, dpmpp-2m …)"
    )]
    UnknownClass(String),
    /// An option that no diffusers scheduler has.
    #[error(
        "scheduler_config.json: unknown option `{0}`; remove it if it does not change the mathematics"
    )]
    UnknownOption(String),
    /// A known option with a value outside what it may be.
    #[error("scheduler_config.json: `{option}` is {value}, but must be {expected}")]
    BadValue {
        /// The key in the file.
        option: &'static str,
        /// What the file says, shortened.
        value: String,
        /// What would be accepted.
        expected: String,
    },
    /// A legal value that easel does not implement, or that fails in diffusers too.
    #[error("scheduler_config.json: `{option}` = {value} is not supported: {why}")]
    Unsupported {
        /// The key in the file.
        option: &'static str,
        /// What the file says.
        value: String,
        /// The reason.
        why: &'static str,
    },
    /// Flow matching and noise prediction are different kinds of model.
    #[error("scheduler `{kind}` does not fit this model: its {class} is for {family} models")]
    Family {
        /// The scheduler asked for.
        kind: SchedulerKind,
        /// The class in the config.
        class: String,
        /// What the config's class is for.
        family: &'static str,
    },
    /// `eta` is a share.
    #[error("eta {0} is not between 0 and 1")]
    Eta(f32),
    /// More steps than the schedule has room for, or none.
    #[error("{steps} steps are not possible with this scheduler: choose 1 to {most}")]
    Steps {
        /// What was asked for.
        steps: usize,
        /// The most that work.
        most: usize,
    },
    /// The options are each legal, but make no usable schedule together.
    #[error("scheduler_config.json gives no usable noise schedule: {0}")]
    Schedule(String),
    /// Slices that do not belong together.
    #[error(
        "a sample of {sample} values came with others of {} and {}: one run has one length",
        .others[0], .others[1]
    )]
    Length {
        /// Values in the sample.
        sample: usize,
        /// Values in the other two slices of the call.
        others: [usize; 2],
    },
    /// `begin` was called for an evaluation that no step begins with.
    #[error("no step begins with evaluation {0}")]
    Middle(usize),
    /// An evaluation that is not there or not due.
    #[error("evaluation {index} was asked for, but {expected} (or 0) of {count} comes next")]
    Order {
        /// The index asked for.
        index: usize,
        /// The index that is due.
        expected: usize,
        /// Model evaluations in all.
        count: usize,
    },
}
