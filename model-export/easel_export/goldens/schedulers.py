"""Golden data for the schedulers: what diffusers computes, step by step.

    cd model-export && python -m easel_export.goldens.schedulers

writes ``tests/goldens/schedulers/index.json`` and ``data.f32`` (little-endian). Layout of the data:
first the standard normals of ``PhiloxNoise(SEED)``, draw after draw; then per case its timesteps [n],
noise levels [n], the initial sigma [1], the latents after each step [n, 64], and the clean latents
predicted by the last step [64]. The denoiser is a stand-in that both sides compute exactly alike.
"""

import json
import logging
import math
from pathlib import Path

import diffusers
import numpy as np
import torch

from easel_export.goldens.noise import injected, normals

OUT = Path(__file__).resolve().parents[3] / "tests" / "goldens" / "schedulers"
SHAPE = (1, 4, 4, 4)
SIZE = math.prod(SHAPE)
SEED = 0x0123_4567_89AB_CDEF
DRAWS = 32

KINDS = {
    "ddpm": ("DDPMScheduler", {}),
    "ddim": ("DDIMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "dpmpp-2m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "use_karras_sigmas": False}),
    "dpmpp-2m-karras": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True}),
    "dpmpp-sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "lcm": ("LCMScheduler", {}),
    "flow-euler": ("FlowMatchEulerDiscreteScheduler", {}),
}


def model(x, t):
    """output[i] = 0.7 x[i] + 0.2 x[(13 i + 5) mod 64] + 0.3 sin(t / 100 + i)"""
    flat = x.reshape(-1)
    i = torch.arange(SIZE)
    wave = torch.tensor([math.sin(float(t) * 0.01 + j) for j in range(SIZE)], dtype=torch.float32)
    return (flat * 0.7 + flat[(13 * i + 5) % SIZE] * 0.2 + wave * 0.3).reshape(x.shape)


def cases():
    sd = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    zero = {**sd, "rescale_betas_zero_snr": True}
    cos = {"beta_schedule": "squaredcos_cap_v2"}
    trained = {"num_train_timesteps": 40, "trained_betas": [round(0.001 + 0.0004 * i, 6) for i in range(40)]}
    types = ("epsilon", "v_prediction", "sample")
    spacings = ("leading", "linspace", "trailing")
    plain = {"clip_sample": False}

    for kind, own in (("ddim", plain), ("ddpm", plain), ("euler", {}), ("euler-ancestral", {}), ("dpmpp-2m", {}),
                      ("dpmpp-2m-karras", {}), ("dpmpp-sde", {})):
        for j, spacing in enumerate(spacings):
            for p in types:
                if kind == "euler-ancestral" and p == "sample":
                    continue
                config = {**sd, **own, "timestep_spacing": spacing, "prediction_type": p}
                yield kind, {**config, "steps_offset": 1}, (3, 5, 4)[j]
            if kind != "dpmpp-2m-karras":
                yield kind, {**sd, **own, "timestep_spacing": spacing}, 1
        yield kind, {**zero, **own, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}, 4
        yield kind, {**zero, **own, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}, 9
        yield kind, {**zero, **own, "timestep_spacing": "leading", "prediction_type": "v_prediction"}, 5
        yield kind, {**cos, **own, "prediction_type": "v_prediction"}, 6
        yield kind, {**cos, **own}, 5
        yield kind, {**trained, **own}, 7
        yield kind, {**own}, 7
        yield kind, {**sd, **own, "timestep_spacing": "trailing"}, 20

    for kind in ("ddim", "ddpm"):
        yield kind, {}, 5
        yield kind, {**sd, "clip_sample": True, "clip_sample_range": 0.7, "prediction_type": "v_prediction"}, 6
    for p in types:
        yield "ddim", {**sd, **plain, "set_alpha_to_one": False, "steps_offset": 1, "prediction_type": p}, 8
    for variance in ("fixed_small_log", "fixed_large"):
        for steps in (4, 11):
            yield "ddpm", {**sd, **plain, "variance_type": variance}, steps

    for extra in ({"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"interpolation_type": "log_linear"},
                  {"final_sigmas_type": "sigma_min"}, {"use_karras_sigmas": True, "sigma_min": 0.05, "sigma_max": 9.0},
                  {"timestep_type": "continuous", "prediction_type": "v_prediction"}):
        for steps in (4, 9):
            yield "euler", {**sd, **extra}, steps

    for kind in ("dpmpp-2m", "dpmpp-2m-karras", "dpmpp-sde"):
        for extra in ({"solver_type": "heun"}, {"final_sigmas_type": "sigma_min"}, {"euler_at_final": True},
                      {"lower_order_final": False}, {"solver_order": 1}, {"solver_order": 3}):
            yield kind, {**sd, **extra}, 6
        yield kind, {**sd, "solver_order": 3}, 17
        yield kind, {**sd, "solver_type": "heun", "final_sigmas_type": "sigma_min", "euler_at_final": True}, 16
    for kind in ("dpmpp-2m", "dpmpp-sde"):
        for extra in ({"use_lu_lambdas": True}, {"use_exponential_sigmas": True}, {**cos, "lambda_min_clipped": -5.1},
                      {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}):
            yield kind, {**sd, **extra}, 7

    for p in types:
        for steps in (1, 2, 3, 4, 8):
            yield "lcm", {**sd, "prediction_type": p}, steps
    yield "lcm", {**sd, "original_inference_steps": 100, "timestep_scaling": 5.0}, 7
    yield "lcm", {**sd, "clip_sample": True}, 4
    yield "lcm", {**zero, "prediction_type": "v_prediction"}, 4

    for extra in ({}, {"shift": 3.0}, {"use_dynamic_shifting": True}, {"use_dynamic_shifting": True, "time_shift_type": "linear"},
                  {"use_dynamic_shifting": True, "base_shift": 0.95, "max_shift": 2.05, "shift_terminal": 0.1},
                  {"shift": 2.0, "use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"invert_sigmas": True},
                  {"stochastic_sampling": True, "shift": 3.0}):
        for steps in (1, 4, 7) if "shift_terminal" not in extra and "use_karras_sigmas" not in extra else (4, 7):
            yield "flow-euler", extra, steps

    # Conversions: another class's config, options left behind and defaults taken.
    sd15 = {"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", **sd, "clip_sample": False, "num_train_timesteps": 1000,
            "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None}
    ddim = {"_class_name": "DDIMScheduler", **zero, "prediction_type": "v_prediction", "clip_sample": False,
            "timestep_spacing": "trailing", "skip_prk_steps": True}
    for kind in KINDS:
        if kind != "flow-euler":
            yield kind, sd15, 5
            yield kind, ddim, 5


def run(kind, config, steps, noise):
    cls, override = KINDS[kind]
    scheduler = getattr(diffusers, cls).from_config(config, **override)
    with injected(iter(torch.from_numpy(noise[1:]))):
        # Dynamic shifting as StableDiffusion3Pipeline: 2×2 patches of 32×48 latents.
        extra = {}
        if scheduler.config.get("use_dynamic_shifting"):
            c = scheduler.config
            slope = (c.max_shift - c.base_shift) / (c.max_image_seq_len - c.base_image_seq_len)
            extra["mu"] = 16 * 24 * slope + (c.base_shift - slope * c.base_image_seq_len)
        scheduler.set_timesteps(steps, **extra)
        start = float(getattr(scheduler, "init_noise_sigma", 1.0))  # the flow class has none: its pipelines use noise as it is
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(0)
        sample = torch.from_numpy(noise[0]).reshape(SHAPE) * start
        latents = []
        sigmas = getattr(scheduler, "sigmas", None)
        levels = []
        for i, t in enumerate(scheduler.timesteps):
            if sigmas is not None:
                levels.append(float(sigmas[i]))
            else:
                a = max(float(scheduler.alphas_cumprod[int(t)]), 2**-24)
                levels.append(math.sqrt((1 - a) / a))
            scaled = scheduler.scale_model_input(sample, t) if hasattr(scheduler, "scale_model_input") else sample
            output = model(scaled, t)
            if cls.startswith("Flow"):
                clean = sample + (sigmas[-1] - sigmas[i]) * output
                result = scheduler.step(output, t, sample)
            else:
                result = scheduler.step(output, t, sample)
                clean = result.get("pred_original_sample", result.get("denoised"))
                if clean is None:
                    clean = scheduler.model_outputs[-1]
            sample = result.prev_sample
            latents.append(sample.reshape(-1).numpy())
    return np.concatenate([
        scheduler.timesteps.float().numpy(), np.array(levels, np.float32),
        np.array([start], np.float32), *latents, clean.reshape(-1).numpy(),
    ]).astype("<f4")


def main():
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    noise = np.stack([normals(SEED, draw, SIZE) for draw in range(DRAWS)])
    data, index, offset, failed = [*noise], [], SIZE * DRAWS, []
    for kind, config, steps in cases():
        config = {"_class_name": KINDS[kind][0], **config}
        try:
            values = run(kind, config, steps, noise)
        except Exception as error:
            failed.append((kind, steps, config, repr(error)))
            continue
        if not np.isfinite(values).all():
            failed.append((kind, steps, config, "not finite in diffusers"))
            continue
        evaluations = (len(values) - 1 - SIZE) // (SIZE + 2)
        index.append({"kind": kind, "config": json.dumps(config), "steps": steps, "evaluations": evaluations, "offset": offset})
        data.append(values)
        offset += len(values)
    OUT.mkdir(parents=True, exist_ok=True)
    np.concatenate(data).astype("<f4").tofile(OUT / "data.f32")
    lines = ",\n".join(json.dumps(case) for case in index)
    head = json.dumps({"diffusers": diffusers.__version__, "seed": str(SEED), "draws": DRAWS, "size": SIZE})
    (OUT / "index.json").write_text(head[:-1] + ', "cases": [\n' + lines + "\n]}\n")
    for line in failed:
        print("failed", *line)
    if failed:
        raise SystemExit(1)
    print(len(index), "cases", offset * 4, "bytes of data")


if __name__ == "__main__":
    main()
