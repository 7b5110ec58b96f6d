use std::borrow::Cow;

use serde_json::{Map, Value};

use super::error::SchedulerError;
use super::options::Options;
use super::{Run, SchedulerKind, build, dpm_schedule};
use crate::config::quote_infinities;
use crate::text::excerpt;

/// A model directory's `scheduler/scheduler_config.json`, checked.
///
/// Every option in it is either understood or one that only other diffusers schedulers read (diffusers
/// leaves those behind when it converts a config, and ignores them); anything else is an error, but for classes that easel
/// lacks: another scheduler can be chosen for such a model.
#[derive(Debug, Clone)]
pub struct SchedulerConfig {
    class: Cow<'static, str>,
    options: Map<String, Value>,
}

const MULTISTEP: &str = "DPMSolverMultistepScheduler";
const SINGLESTEP: &str = "DPMSolverSinglestepScheduler";

/// The classes a config may name, and what each one runs as.
const CLASSES: [(&str, SchedulerKind); 16] = [
    ("DDPMScheduler", SchedulerKind::Ddpm),
    ("DDIMScheduler", SchedulerKind::Ddim),
    ("EulerDiscreteScheduler", SchedulerKind::Euler),
    (
        "EulerAncestralDiscreteScheduler",
        SchedulerKind::EulerAncestral,
    ),
    // Which of the DPM-Solver++ kinds they are depends on their options.
    (MULTISTEP, SchedulerKind::Dpmpp2m),
    (SINGLESTEP, SchedulerKind::Dpmpp2s),
    ("LCMScheduler", SchedulerKind::Lcm),
    ("UniPCMultistepScheduler", SchedulerKind::Unipc),
    ("DEISMultistepScheduler", SchedulerKind::Deis),
    ("HeunDiscreteScheduler", SchedulerKind::Heun),
    ("LMSDiscreteScheduler", SchedulerKind::Lms),
    ("KDPM2DiscreteScheduler", SchedulerKind::Kdpm2),
    (
        "KDPM2AncestralDiscreteScheduler",
        SchedulerKind::Kdpm2Ancestral,
    ),
    ("TCDScheduler", SchedulerKind::Tcd),
    ("PNDMScheduler", SchedulerKind::Pndm),
    ("FlowMatchEulerDiscreteScheduler", SchedulerKind::FlowEuler),
];

/// Every option that some scheduler of diffusers 0.36.0 takes, of those that share configs.
/// Sorted.
const KNOWN_OPTIONS: [&str; 53] = [
    "algorithm_type",
    "base_image_seq_len",
    "base_shift",
    "beta_end",
    "beta_schedule",
    "beta_start",
    "clip_sample",
    "clip_sample_range",
    "disable_corrector",
    "dynamic_thresholding_ratio",
    "euler_at_final",
    "final_sigmas_type",
    "flow_shift",
    "interpolation_type",
    "invert_sigmas",
    "lambda_min_clipped",
    "lower_order_final",
    "max_image_seq_len",
    "max_shift",
    "noise_sampler_seed",
    "num_train_timesteps",
    "original_inference_steps",
    "predict_x0",
    "prediction_type",
    "rescale_betas_zero_snr",
    "rho",
    "sample_max_value",
    "set_alpha_to_one",
    "shift",
    "shift_terminal",
    "sigma_data",
    "sigma_max",
    "sigma_min",
    "sigma_schedule",
    "skip_prk_steps",
    "solver_order",
    "solver_p",
    "solver_type",
    "steps_offset",
    "stochastic_sampling",
    "thresholding",
    "time_shift_type",
    "timestep_scaling",
    "timestep_spacing",
    "timestep_type",
    "trained_betas",
    "use_beta_sigmas",
    "use_dynamic_shifting",
    "use_exponential_sigmas",
    "use_flow_sigmas",
    "use_karras_sigmas",
    "use_lu_lambdas",
    "variance_type",
];

impl SchedulerConfig {
    /// Reads and checks the text of a `scheduler_config.json`. Python's `-Infinity`, which diffusers
    /// writes into it, is understood.
    ///
    /// # Errors
    /// It is not a JSON object, names no class, or an option that easel does not know.
    pub fn from_json(text: &str) -> Result<Self, SchedulerError> {
        let Value::Object(mut options) = serde_json::from_str(&quote_infinities(text))? else {
            return Err(SchedulerError::Shape("it must be a JSON object"));
        };
        let Some(name) = options.get("_class_name").and_then(Value::as_str) else {
            return Err(SchedulerError::Shape(
                "`_class_name` must name the scheduler's class",
            ));
        };
        let class = match CLASSES.iter().find(|(class, _)| *class == name) {
            Some((class, _)) => Cow::Borrowed(*class),
            None => Cow::Owned(excerpt(name)),
        };
        // Options that a program copied from its class's defaults do not count as said (diffusers'
        // `from_config` drops them in the same way).
        if let Some(Value::Array(defaults)) = options.remove("_use_default_values") {
            options.retain(|key, _| !defaults.iter().any(|name| name == key.as_str()));
        }
        options.retain(|key, _| !key.starts_with('_'));
        let is_known = |key: &str| KNOWN_OPTIONS.binary_search(&key).is_ok();
        // FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler … say by their names what the solvers
        // for both kinds of model have options for.
        if class.starts_with("FlowMatch") {
            options.insert("use_flow_sigmas".into(), true.into());
            options.insert("prediction_type".into(), "flow_prediction".into());
        }
        if matches!(class, Cow::Owned(_)) {
            // diffusers leaves behind what the scheduler that is chosen does not take.
            options.retain(|key, _| is_known(key));
        }
        if let Some(key) = options.keys().find(|key| !is_known(key)) {
            return Err(SchedulerError::UnknownOption(excerpt(key)));
        }

        Ok(Self { class, options })
    }

    /// The scheduler that the model was saved with, or what stands in for it.
    ///
    /// # Errors
    /// Its class is one that easel lacks, or has an option that easel lacks or a value that it cannot have.
    pub fn default_kind(&self) -> Result<SchedulerKind, SchedulerError> {
        let known = CLASSES.iter().find(|(class, _)| *class == self.class);
        let kind = match known {
            None => return Err(SchedulerError::UnknownClass(self.class.to_string())),
            Some((MULTISTEP, _)) => dpm_schedule::kind(&self.options(), false)?,
            Some((SINGLESTEP, _)) => dpm_schedule::kind(&self.options(), true)?,
            Some((_, kind)) => *kind,
        };
        // A trial build reads every option of the class. Two steps suit every schedule that has any;
        // whether the number of steps suits is for the request to find out.
        match build(kind, self, &Run::new(2, (64, 64))) {
            Ok(_) | Err(SchedulerError::Steps { .. }) => Ok(kind),
            Err(error) => Err(error),
        }
    }

    /// Flow matching and noise prediction have no common mathematics, so not every method fits.
    pub(super) fn check_family(&self, kind: SchedulerKind) -> Result<(), SchedulerError> {
        let (fits, family) = match kind.samples_flows() {
            // Karras et al. scale the denoiser's inputs and outputs, which no scheduler here does.
            _ if self.class.starts_with("EDM") => (false, "EDM"),
            (flows, _) if self.is_flow() => (flows, "flow-matching"),
            (_, noise) => (noise, "noise-prediction"),
        };
        if fits {
            return Ok(());
        }
        Err(SchedulerError::Family {
            kind,
            class: self.class.to_string(),
            family,
        })
    }

    /// The model was trained to match flows.
    fn is_flow(&self) -> bool {
        let says = |key: &str, value: Value| self.options.get(key) == Some(&value);
        says("use_flow_sigmas", true.into()) || says("prediction_type", "flow_prediction".into())
    }

    /// The options as a scheduler reads them.
    pub(super) fn options(&self) -> Options<'_> {
        Options(&self.options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_list_is_sorted() {
        assert!(KNOWN_OPTIONS.is_sorted());
    }
}
