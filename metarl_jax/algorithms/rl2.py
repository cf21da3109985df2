"""RL^2: adaptation in the memory of a sequence model."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

from metarl_jax.checks import (
    require,
    require_fraction,
    require_not_negative,
    require_one_of,
    require_positive,
)
from metarl_jax.conditioning import Film
from metarl_jax.memory_policies import (
    HeadConditioning,
    MemoryAlone,
    trial_memory,
    trial_networks,
)
from metarl_jax.networks import LINEAR, Activation, NetworkConfig
from metarl_jax.rollouts import collect_lives
from metarl_jax.sequence_models import (
    GruConfig,
    SequenceConfig,
    embedded,
    sequence_model,
)
from metarl_jax.sequence_models.recurrent import RecurrentConfig
from metarl_jax.tabular_memory import Tabular
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trial_credit import CREDITS, CreditName, Horizon
from metarl_jax.trial_optimizers import (
    TrialOuterConfig,
    TrialProximalConfig,
    trial_optimizer,
)
from metarl_jax.types import Environment, Key, MetaAlgorithm, Params, Rollout, Task


@dataclasses.dataclass(frozen=True)
class Rl2Config:
    """Trials of K + 1 episodes, and a sequence model that lives through them."""

    adapts_parameters: ClassVar[bool] = False
    tested_on_any_length: ClassVar[bool] = False  # only on trials as in training

    num_adaptation_steps: int = 1  # K
    num_episodes: int = 1  # E; lives of one task, each with a memory of its own
    embedding_sizes: tuple[int, ...] = (64,)  # of layers between input and memory
    embedding_activation: Activation = "relu"
    memory: SequenceConfig = GruConfig()
    head: NetworkConfig = LINEAR  # of policy and value
    # of the heads, on the memory; with `Tabular` each pair of a state and an action has
    # a memory, and layers before it
    conditioning: HeadConditioning = MemoryAlone()
    discount: float = 0.99  # gamma, over the whole trial
    trace_decay: float = 0.95  # lambda of generalised advantage estimation
    credit: CreditName = "reward"  # of an action; see `regret_credit`
    outer: TrialOuterConfig = TrialProximalConfig()

    def __post_init__(self):
        require_not_negative(self, "num_adaptation_steps")
        require_positive(self, "num_episodes")
        require_fraction(self, "discount", "trace_decay")
        require_one_of(self, "credit", CREDITS)
        require(
            not isinstance(self.conditioning, Film | Tabular) or self.head.hidden_sizes,
            f"{type(self.conditioning).__name__} acts on hidden layers: "
            "set head.hidden_sizes",
        )
        require(
            not isinstance(self.conditioning, Tabular)
            or isinstance(self.memory, RecurrentConfig),
            "Tabular takes a recurrent memory: set memory to a GruConfig or LstmConfig",
        )


class Rl2State(NamedTuple):
    params: Params
    optimizer_state: Any


def rl2(env: Environment, config: Rl2Config, axis: TaskAxis) -> MetaAlgorithm:
    """A policy with a memory, trained on the return of whole trials.

    The trial is K + 1 consecutive episodes; the memory lives on from one to the next,
    and learning to use it is learning to adapt. Nothing is differentiated but the
    network: memory is the only adaptation.

    Args:
      env: the environment.
      config: of the learner.
      axis: how to go over tasks.

    Returns:
      The corresponding `MetaAlgorithm`.

    References:
      Duan et al., RL^2: Fast Reinforcement Learning via Slow Reinforcement Learning
      (2016), https://arxiv.org/abs/1611.02779
      Wang et al., Learning to Reinforcement Learn (2016),
      https://arxiv.org/abs/1611.05763
      Beck et al., Recurrent Hypernetworks are Surprisingly Strong in Meta-RL (2023),
      the same with `conditioning` a `Hypernetwork`, https://arxiv.org/abs/2309.14970
      Mishra et al., A Simple Neural Attentive Meta-Learner (2018), the same with
      another memory, https://arxiv.org/abs/1707.03141
      Kirsch et al., Introducing Symmetries to Black Box Meta Reinforcement Learning
      (2022), for the idea of `Tabular`, https://arxiv.org/abs/2109.10781
    """
    num_stages = config.num_adaptation_steps + 1
    length = num_stages * env.horizon
    layers = NetworkConfig(config.embedding_sizes, config.embedding_activation)
    make_model = lambda size: sequence_model(config.memory, size, length)
    make_embedded = lambda size: embedded(size, layers, make_model)
    segment_length = getattr(config.memory, "segment_length", None)
    model = trial_memory(env, make_embedded, config.conditioning, segment_length)
    networks = trial_networks(env, model, length, config.head, config.conditioning)
    horizon = Horizon(config.discount, config.trace_decay, length)
    credit = CREDITS[config.credit]
    optimizer = trial_optimizer(networks, config.outer, horizon, axis, credit)

    def adapt(key: Key, params: Params, task: Task) -> Rollout:
        return collect_lives(
            key, env, networks.policy, params, task, num_stages, config.num_episodes
        )

    def update(key: Key, state: Rl2State, trials: Rollout):
        params, optimizer_state, metrics = optimizer.update(key, *state, trials)
        return Rl2State(params, optimizer_state), metrics

    return MetaAlgorithm(
        init=lambda key: Rl2State(*optimizer.init(key)),
        adapt=adapt,
        update=update,
        policy=networks.policy,
    )
