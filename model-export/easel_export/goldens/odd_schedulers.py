"""Schedulers of diffusers' that the golden data of whole pictures cannot take as they are.

LMS needs scipy for one integral, of a polynomial of the third degree: quadrature by Gauss and Legendre gives it exactly, and nothing
has to be installed. In a run that begins in the middle diffusers takes the coefficients of as many slopes as there were from the first
step on, and has fewer: the steps are too long or too short. `restarted_lms` takes as many as there are, as easel does. PNDM evaluates its first step twice, and its list of timesteps has the second one twice for that; pipelines that
begin in the middle cut the list without regard to it, so that the sample is a step behind its timesteps and noise is left in the
picture. `RestartedPNDM` begins the method anew where the run begins, as easel does: one step of the first order, then as before. It is for runs
that begin behind the steps of Runge and Kutta, if there are any.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any
from unittest import mock

import diffusers
import numpy as np
import torch


def quad(function: Callable[[float], float], begin: float, end: float, **_: Any) -> tuple[float, float]:
    """`scipy.integrate.quad` of a polynomial up to the seventh degree."""
    places, weights = np.polynomial.legendre.leggauss(4)
    middle, half = (begin + end) / 2, (end - begin) / 2
    return half * sum(weight * function(middle + half * place) for place, weight in zip(places, weights)), 0.0


def lms() -> Any:
    """diffusers' `LMSDiscreteScheduler`."""
    scipy = {name: ModuleType(name) for name in ("scipy", "scipy.integrate", "scipy.stats")}
    for name in ("integrate", "stats"):
        setattr(scipy["scipy"], name, scipy[f"scipy.{name}"])
    scipy["scipy.integrate"].quad = quad
    with mock.patch.dict(sys.modules, scipy):
        return importlib.import_module("diffusers.schedulers.scheduling_lms_discrete").LMSDiscreteScheduler


def restarted_lms() -> Any:
    """LMS for runs that begin in the middle."""
    known = lms()

    def step(self: Any, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, order: int = 4, return_dict: bool = True) -> Any:
        return known.step(self, model_output, timestep, sample, min(order, len(self.derivatives) + 1), return_dict)

    return type("RestartedLMS", (known,), {"step": step})


class RestartedPNDM(diffusers.PNDMScheduler):
    """PNDM for runs that begin in the middle."""

    def set_timesteps(self, *args: Any, **options: Any) -> None:
        self.register_to_config(skip_prk_steps=True)
        super().set_timesteps(*args, **options)
        self.timesteps = torch.unique_consecutive(self.timesteps)

    def step_plms(self, model_output: torch.Tensor, timestep: int, sample: torch.Tensor, return_dict: bool = True) -> Any:
        if self.ets:
            return super().step_plms(model_output, timestep, sample, return_dict)
        self.ets.append(model_output)
        self.counter = 2  # the second evaluation of the first step is behind it
        before = timestep - self.config.num_train_timesteps // self.num_inference_steps
        return (self._get_prev_sample(sample, timestep, before, model_output),)


def scheduler_class(name: str, in_the_middle: bool) -> Any:
    """diffusers' class of this name, for a run that begins with its first step or `in_the_middle`."""
    if name == "LMSDiscreteScheduler":
        return restarted_lms() if in_the_middle else lms()
    if name == "PNDMScheduler" and in_the_middle:
        return RestartedPNDM
    return getattr(diffusers, name)
