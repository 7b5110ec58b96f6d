"""Golden data for the schedulers: what diffusers computes, step by step.

    cd model-export && python -m easel_export.goldens.schedulers

adds the cases that are not recorded yet to ``tests/goldens/schedulers/index.json`` and ``data.f32``
(little-endian); with ``--all`` it records every case anew. Layout of the data: first the standard normals of
``PhiloxNoise(SEED)``, draw after draw; then per case its timesteps [n], noise levels [n], the initial
sigma [1], the latents after each step [n, 64], and the clean latents predicted by the last step [64].
A case with ``begin`` starts there, with noise on clean latents: the first sample [64] comes before the
latents, which are those of the steps that are left. The denoiser is a stand-in that both sides compute
exactly alike. diffusers needs scipy for LMS and for beta sigmas.
"""

import argparse
import json
import logging
import math
from pathlib import Path

import diffusers
import numpy as np
import torch

from diffusers.pipelines.flux.pipeline_flux import calculate_shift

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
    "unipc": ("UniPCMultistepScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "kdpm2": ("KDPM2DiscreteScheduler", {}),
    "kdpm2-ancestral": ("KDPM2AncestralDiscreteScheduler", {}),
    "dpmpp-2s": ("DPMSolverSinglestepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpmpp-2s-sde": ("DPMSolverSinglestepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "tcd": ("TCDScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
}
# Those with whole pictures among the golden data, and cases that were recorded before the others were there.
FIRST = tuple(KINDS)[:9]


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
    for kind in FIRST:
        if kind != "flow-euler":
            yield kind, sd15, 5
            yield kind, ddim, 5

    for kind in KINDS:
        if kind not in FIRST and kind != "flow-euler":
            yield kind, sd15, 5
            # Without noise's share in a half float's smallest number it ends in pure noise, which few can divide by.
            if kind in ("unipc", "tcd"):
                yield kind, ddim, 5
    yield from samplers(sd, zero, cos, trained, types, spacings)
    yield from beginnings(sd)
    yield from flows()


def samplers(sd, zero, cos, trained, types, spacings):
    """What the later samplers take."""
    two = [{"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True}]
    for kind in ("unipc", "deis", "heun", "lms", "kdpm2", "kdpm2-ancestral", "dpmpp-2s", "dpmpp-2s-sde", "tcd", "pndm"):
        predictions = [p for p in types if p != "sample" or not (kind.startswith("kdpm2") or kind == "pndm")]
        for j, spacing in enumerate(spacings):
            for p in predictions:
                yield kind, {**sd, "timestep_spacing": spacing, "prediction_type": p, "steps_offset": 1, "skip_prk_steps": True}, (3, 5, 4)[j]
            yield kind, {**sd, "timestep_spacing": spacing, "skip_prk_steps": True}, 1
            yield kind, {**sd, "timestep_spacing": spacing, "skip_prk_steps": True}, 2
        if kind != "kdpm2-ancestral":  # where the root of a rounding below 0 is not finite in diffusers
            yield kind, {**cos, "prediction_type": "v_prediction"}, 6
        if kind != "tcd":
            yield kind, trained, 7
        yield kind, {}, 7
        yield kind, {**sd, "timestep_spacing": "trailing"}, 20
        if kind not in ("tcd", "pndm"):
            for extra in two:
                for steps in (4, 9):
                    yield kind, {**sd, **extra}, steps
                # Noise of 20000 right before little: what is left is rounding, on both sides.
                if kind not in ("deis", "lms", "kdpm2-ancestral") or "use_beta_sigmas" not in extra:
                    yield kind, {**cos, **extra, "prediction_type": "v_prediction"}, 5
    for extra in two:
        yield "euler", {**sd, **extra, "timestep_spacing": "trailing"}, 6
    for kind in ("dpmpp-2m", "dpmpp-sde"):
        yield kind, {**sd, "use_beta_sigmas": True}, 8
        yield kind, {**cos, "use_beta_sigmas": True, "final_sigmas_type": "sigma_min"}, 6

    for order in (1, 2, 3):
        for bh in ("bh1", "bh2"):
            base = {**sd, "solver_order": order, "solver_type": bh}
            if bh == "bh1":  # whose last step to 0 is not finite in diffusers
                base["final_sigmas_type"] = "sigma_min"
            yield "unipc", base, 8
            yield "unipc", {**base, "timestep_spacing": "trailing"}, 16
            yield "unipc", {**base, "predict_x0": False, "final_sigmas_type": "sigma_min"}, 6
            yield "unipc", {**base, "disable_corrector": [0, 2, 3]}, 7
        yield "unipc", {**sd, "solver_order": order, "lower_order_final": False, "final_sigmas_type": "sigma_min"}, 7
        yield "deis", {**sd, "solver_order": order}, 8
        yield "deis", {**sd, "solver_order": order, "lower_order_final": False}, 8
        yield "deis", {**sd, "solver_order": order, "timestep_spacing": "trailing"}, 17
        for kind in ("dpmpp-2s", "dpmpp-2s-sde"):
            for solver in ("midpoint", "heun"):
                for final in ("zero", "sigma_min"):
                    for lower in (True, False):
                        for steps in (6, 7) if solver == "midpoint" else (6,):
                            extra = {"solver_type": solver, "final_sigmas_type": final, "lower_order_final": lower}
                            yield kind, {**sd, **extra, "solver_order": order}, steps
    for p in types:
        yield "unipc", {**sd, "predict_x0": False, "final_sigmas_type": "sigma_min", "prediction_type": p}, 5
    for final in ("zero", "sigma_min"):
        yield "unipc", {**sd, "final_sigmas_type": final, "solver_type": "midpoint"}, 6
    for spacing in ("trailing", "leading"):
        yield "unipc", {**zero, "timestep_spacing": spacing, "prediction_type": "v_prediction"}, 9
        yield "tcd", {**zero, "prediction_type": "v_prediction"}, 4
    for kind in ("dpmpp-2s", "dpmpp-2s-sde"):
        yield kind, {**cos, "lambda_min_clipped": -5.1}, 7
    for kind in ("unipc", "deis", "dpmpp-2s", "dpmpp-2s-sde"):
        yield kind, {**sd, "use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}, 7

    for extra in ({"clip_sample": True}, {"clip_sample": True, "clip_sample_range": 0.7, "prediction_type": "v_prediction"},
                  {"beta_schedule": "exp"}, {"sigma_min": 0.05, "sigma_max": 9.0, "use_karras_sigmas": True}):
        for steps in (4, 9):
            yield "heun", {**sd, **extra}, steps

    for p in types:
        for steps in (1, 2, 3, 4, 8):
            yield "tcd", {**sd, "prediction_type": p}, steps
        for eta in (0.0, 0.7, 1.0):
            yield "tcd", {**sd, "prediction_type": p}, 4, {"eta": eta}
    yield "tcd", {**sd, "original_inference_steps": 100}, 7

    for alpha in (False, True):
        for p in ("epsilon", "v_prediction"):
            for steps in (1, 2, 3, 4, 9):
                yield "pndm", {**sd, "skip_prk_steps": True, "set_alpha_to_one": alpha, "prediction_type": p}, steps
            for steps in (4, 5, 9):
                for spacing in spacings:
                    yield "pndm", {**sd, "set_alpha_to_one": alpha, "prediction_type": p, "timestep_spacing": spacing}, steps


def beginnings(sd):
    """Starts in the middle, as for pictures that are painted over."""
    for kind in KINDS:
        # diffusers' LMS and PNDM count steps that they have not seen.
        if kind in ("lms", "pndm"):
            continue
        config = {} if kind == "flow-euler" else {**sd, "clip_sample": False}
        twice = 2 if kind in ("heun", "kdpm2", "kdpm2-ancestral") else 1
        for steps, step in ((8, 3), (8, 7), (5, 2)):
            yield kind, config, steps, {"begin": step * twice}


def flows():
    """Noise levels that the pipeline gives, as Flux's; and shifts that depend on the picture's size."""
    for extra in ({}, {"shift": 3.0}, {"use_dynamic_shifting": True}, {"use_dynamic_shifting": True, "time_shift_type": "linear"},
                  {"use_dynamic_shifting": True, "base_shift": 0.95, "max_shift": 2.05, "shift_terminal": 0.1},
                  {"shift": 2.0, "use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True, "shift": 3.0},
                  {"invert_sigmas": True}):
        curved = any(key in extra for key in ("shift_terminal", "use_karras_sigmas", "use_beta_sigmas"))
        for steps in (4, 7) if curved else (1, 4, 7):
            for tokens in (384, 4096):
                yield "flow-euler", extra, steps, {"levels": "pipeline", "tokens": tokens}
    for steps in (4, 9):
        yield "flow-euler", {"use_beta_sigmas": True, "shift": 3.0}, steps
        yield "flow-euler", {"use_dynamic_shifting": True, "use_beta_sigmas": True}, steps, {"tokens": 1024}
    for kind in ("dpmpp-2m", "dpmpp-sde", "unipc", "deis", "dpmpp-2s", "dpmpp-2s-sde"):
        config = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
        yield kind, {**config, "use_dynamic_shifting": True}, 6, {"tokens": 1024}
        yield kind, {**config, "flow_shift": 2.5}, 8, {"begin": 3}


def implied(scheduler, i, t, prediction, sample, output):
    """The clean latents that an output implies, for classes that do not return them."""
    if hasattr(scheduler, "_sigma_to_alpha_sigma_t"):
        sigma = scheduler.sigmas[i]
        signal, noise = scheduler._sigma_to_alpha_sigma_t(sigma)
        if prediction == "flow_prediction":
            signal, noise = 1.0, sigma
    else:
        alpha = scheduler.alphas_cumprod[int(t)]
        signal, noise = alpha.sqrt(), (1 - alpha).sqrt()
    if prediction == "sample":
        return output
    if prediction == "v_prediction":
        return signal * sample - noise * output
    return (sample - noise * output) / signal


def prepare(scheduler, steps, extra):
    """Sets the timesteps as a pipeline does: by default Stable Diffusion 3's, with 2×2 patches of 32×48 latents."""
    given = {}
    if scheduler.config.get("use_dynamic_shifting"):
        ends = [scheduler.config.get(key, default) for key, default in (("base_image_seq_len", 256), ("max_image_seq_len", 4096),
                                                                        ("base_shift", 0.5), ("max_shift", 1.15))]
        given["mu"] = calculate_shift(extra.get("tokens", 16 * 24), *ends)
    if extra.get("levels") == "pipeline":
        given["sigmas"] = np.linspace(1.0, 1 / steps, steps)
        scheduler.set_timesteps(**given)
    else:
        scheduler.set_timesteps(steps, **given)


def run(kind, config, steps, noise, extra):
    cls, override = KINDS[kind]
    scheduler = getattr(diffusers, cls).from_config(config, **override)
    begin = extra.get("begin", 0)
    stepping = {"eta": extra["eta"]} if "eta" in extra else {}
    with injected(iter(torch.from_numpy(noise[2 if "begin" in extra else 1:]))):
        prepare(scheduler, steps, extra)
        start = float(getattr(scheduler, "init_noise_sigma", 1.0))  # the flow class has none: its pipelines use noise as it is
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(begin)
        sample = torch.from_numpy(noise[0]).reshape(SHAPE) * start
        latents = []
        if "begin" in extra:
            mix = getattr(scheduler, "add_noise", None) or scheduler.scale_noise
            clean, fresh = (torch.from_numpy(noise[draw]).reshape(SHAPE) for draw in (0, 1))
            time = scheduler.timesteps[begin : begin + 1]
            sample = mix(clean, time, fresh) if cls.startswith("Flow") else mix(clean, fresh, time)
            latents.append(sample.reshape(-1).numpy())
        sigmas = getattr(scheduler, "sigmas", None)
        levels = []
        for i, t in enumerate(scheduler.timesteps):
            if sigmas is not None:
                levels.append(float(sigmas[i]))
            else:
                a = max(float(scheduler.alphas_cumprod[int(t)]), 2**-24)
                levels.append(math.sqrt((1 - a) / a))
            if i < begin:
                continue
            scaled = scheduler.scale_model_input(sample, t) if hasattr(scheduler, "scale_model_input") else sample
            output = model(scaled, t)
            if cls.startswith("Flow"):
                clean = sample + (sigmas[-1] - sigmas[i]) * output
                result = scheduler.step(output, t, sample)
            else:
                before = sample.clone()
                result = scheduler.step(output, t, sample, **stepping)
                clean = result.get("pred_original_sample", result.get("denoised"))
                if clean is None and kind in FIRST:
                    clean = scheduler.model_outputs[-1]
                elif clean is None:
                    clean = implied(scheduler, i, t, scheduler.config.prediction_type, before, output)
            sample = result.prev_sample
            latents.append(sample.reshape(-1).numpy())
    return np.concatenate([
        scheduler.timesteps.float().numpy(), np.array(levels, np.float32),
        np.array([start], np.float32), *latents, clean.reshape(-1).numpy(),
    ]).astype("<f4")


def main():
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", action="store_true", help="record every case anew, with the installed PyTorch and diffusers")
    parsed = parser.parse_args()
    torch.set_num_threads(1)
    noise = np.stack([normals(SEED, draw, SIZE) for draw in range(DRAWS)])
    index, data = [], [noise.reshape(-1).astype("<f4")]
    if not parsed.all:
        there = json.loads((OUT / "index.json").read_text())
        if there["diffusers"] != diffusers.__version__:
            raise SystemExit(f"recorded with diffusers {there['diffusers']}: --all records with {diffusers.__version__}")
        index = there["cases"]
        data = [np.fromfile(OUT / "data.f32", "<f4")]
    results = ("evaluations", "offset")
    recorded = {json.dumps({key: value for key, value in case.items() if key not in results}) for case in index}
    offset, failed = len(data[0]), []
    for kind, config, steps, *rest in cases():
        extra = rest[0] if rest else {}
        config = {"_class_name": KINDS[kind][0], **config}
        case = {"kind": kind, "config": json.dumps(config), "steps": steps, **extra}
        if json.dumps(case) in recorded:
            continue
        recorded.add(json.dumps(case))
        try:
            values = run(kind, config, steps, noise, extra)
        except Exception as error:
            failed.append((kind, steps, config, repr(error)))
            continue
        if not np.isfinite(values).all():
            failed.append((kind, steps, config, "not finite in diffusers"))
            continue
        begin = extra.get("begin", 0)
        more = SIZE if "begin" in extra else 0
        evaluations = (len(values) - 1 - SIZE - more + begin * SIZE) // (SIZE + 2)
        index.append(case | {"evaluations": evaluations, "offset": offset})
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
