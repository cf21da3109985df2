"""Cart-pole: balance a pole of unknown size on a cart of unknown response."""

from typing import Any, NamedTuple

from gymnax.environments.classic_control import cartpole

from envs.adapters import from_gymnax
from envs.options import checked_boolean, checked_integer
from envs.tasks import TaskDistribution, uniform, with_either_sign


class CartPoleTask(NamedTuple):
    """The physics of one cart-pole, [] each."""

    length: Any  # m; from the pivot to the pole's centre, half of the pole
    mass_cart: Any  # kg
    mass_pole: Any  # kg
    gravity: Any  # m/s^2
    force: Any  # N; on the cart under action 1, and its opposite under action 0


_TRAIN = (
    CartPoleTask(length=0.25, mass_cart=0.5, mass_pole=0.05, gravity=8.0, force=5.0),
    CartPoleTask(length=1.0, mass_cart=2.0, mass_pole=0.5, gravity=12.0, force=15.0),
)
_OOD = (
    CartPoleTask(length=1.0, mass_cart=0.5, mass_pole=0.5, gravity=8.0, force=5.0),
    CartPoleTask(length=1.5, mass_cart=2.0, mass_pole=1.0, gravity=12.0, force=15.0),
)


def make(horizon: int = 200, signed_force: bool = True) -> tuple[Any, TaskDistribution]:
    """Gymnax's CartPole-v1; the task is a `CartPoleTask`.

    Observes the cart's position (m) and velocity, the pole's angle (rad) and angular
    velocity, [4]. The reward is 1 a step; an episode ends when the cart is further
    than 2.4 m from the middle or the pole more than 12 degrees from upright.

    Parameters are independent and uniform, for training and test: length 0.25 to 1,
    mass of the cart 0.5 to 2 and of the pole 0.05 to 0.5, gravity 8 to 12, magnitude
    of the force 5 to 15: about half to twice the usual values (0.5, 1, 0.1, 9.8, 10).
    Out of distribution the pole is longer (1 to 1.5) and heavier (0.5 to 1), the rest
    as in training.

    The force has either sign with equal probability, so that an agent must find out
    which way its actions push. Without it there is nothing to adapt to: one
    network of 16 units (trained by an evolution strategy on 24 tasks) balances every
    task for 200 steps, and does even when ranges are twice as wide. With it the best
    single network found has a mean return of 105, by failing on one of the signs.

    Args:
      horizon: T, steps of 0.02 s.
      signed_force: False keeps the sign of the force positive.
    """
    horizon = checked_integer("horizon", horizon, minimum=1)
    signed_force = checked_boolean("signed_force", signed_force)
    env = from_gymnax(cartpole.CartPole(), _params, horizon)
    train, ood = uniform(*_TRAIN), uniform(*_OOD)
    if signed_force:
        train, ood = with_either_sign(train, "force"), with_either_sign(ood, "force")
    return env, TaskDistribution(train=train, test=train, ood=ood)


def _params(task):
    return cartpole.EnvParams(
        gravity=task.gravity,
        masscart=task.mass_cart,
        masspole=task.mass_pole,
        total_mass=task.mass_cart + task.mass_pole,
        length=task.length,
        polemass_length=task.mass_pole * task.length,
        force_mag=task.force,
    )
