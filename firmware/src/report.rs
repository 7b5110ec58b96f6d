//! What the commands that run a model say alike.

use crate::failure::Failure;
use easel::process_memory;
use std::io::Write as _;

/// The kernels that networks run on: the fastest for this CPU, or those that `EASEL_KERNEL` names.
pub(crate) fn kernel() -> Result<&'static str, Failure> {
    let chosen = easel::Isa::chosen();
    chosen
        .map(easel::Isa::name)
        .map_err(|error| Failure::Usage(error.to_string()))
}

/// The process's peak resident set; warns when it is over the budget.
pub(crate) fn peak_within(budget_mib: Option<u32>) -> Option<u64> {
    let peak = process_memory::peak().map(|bytes| (bytes as u64).div_ceil(1 << 20));
    if let (Some(budget), Some(peak)) = (budget_mib, peak)
        && peak > u64::from(budget)
    {
        eprintln!("easel: the peak was {peak} MiB, over the budget of {budget} MiB");
    }
    peak
}

/// Prints a result; `advice` ends the error. A reader that left early must not turn a result into a panic.
pub(crate) fn print(text: &str, advice: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{text}")
        .map_err(|error| Failure::Failed(format!("standard output: {error}: {advice}")))
}
