"""Robots of a run in motion: shapes, camera, films and the command."""

import dataclasses
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest
from brax import kinematics
from PIL import Image

import envs
import experiments
from envs.robots.landmarks import LANDMARKS
from envs.robots.rods import Rods, placed, rods_of
from envs.tasks import NumberedTask
from envs.wrappers import WithPoses
from experiments.experiment import build
from experiments.robot_films import (
    Played,
    film_of,
    parse_task,
    play,
    short_task_text,
)
from experiments.run_directory import RunDirectory, document
from experiments.watch import Options
from experiments.watcher import watch
from metarl_jax import film_frames, film_page, film_style, film_video
from metarl_jax.checkpoints import Checkpoints
from metarl_jax.films import (
    Camera,
    Film,
    Take,
    focus_path,
    tick_spacing,
    ticks_per_label,
)
from metarl_jax.networks import NetworkConfig

HALF_TURN = [0.0, 0.0, 0.0, 1.0]  # about the z axis


def model(**changes):
    """A rod of length 1 along z, on body 1, and the ground."""
    fields = {
        "geom_type": np.array([0, 3]),
        "geom_bodyid": np.array([0, 1]),
        "geom_size": np.array([[40.0, 40.0, 40.0], [0.1, 0.5, 0.0]]),
        "geom_pos": np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
        "geom_quat": np.array([[1.0, 0.0, 0.0, 0.0]] * 2),
    }
    return SimpleNamespace(mj_model=SimpleNamespace(**(fields | changes)))


def take(num_frames, speed=1.0, label="before adaptation"):
    """A ball that rolls along x, paid 1 for each step."""
    ends = np.zeros((num_frames, 1, 2, 3))
    ends[..., 0] = speed * np.arange(num_frames)[:, None, None]
    ends[..., 2] = 0.2
    return Take(label, ends, np.ones(num_frames))


def film(*takes, **changes):
    return Film("a <title>", 0.05, np.array([0.2]), takes, **changes)


def test_capsules_are_rods_and_the_ground_is_left_out():
    rods = rods_of(model())
    np.testing.assert_array_equal(rods.link, [0])
    np.testing.assert_allclose(rods.ends, [[[1, 0, -0.5], [1, 0, 0.5]]])
    np.testing.assert_allclose(rods.radius, [0.1])


def test_turned_capsules_and_spheres_lie_as_mujoco_says():
    quarter = np.sqrt(0.5)  # about the y axis: z goes to x
    turned = rods_of(
        model(geom_quat=np.array([[1, 0, 0, 0], [quarter, 0, quarter, 0]]))
    )
    np.testing.assert_allclose(turned.ends[0], [[0.5, 0, 0], [1.5, 0, 0]], atol=1e-12)
    ball = rods_of(model(geom_type=np.array([0, 2])))
    np.testing.assert_allclose(ball.ends[0], [[1, 0, 0], [1, 0, 0]])


def test_shape_that_cannot_be_drawn_is_named():
    with pytest.raises(ValueError, match="not MuJoCo's geom types 6"):
        rods_of(model(geom_type=np.array([0, 6])))


def test_rods_move_with_their_link_and_the_world_does_not():
    ends = np.array([[[1.0, 0, 0], [2.0, 0, 0]]] * 2)
    rods = Rods(np.array([0, -1]), ends, np.ones(2))
    position, rotation = np.array([[[5.0, 1.0, 0.0]]]), np.array([[HALF_TURN]])
    frame = placed(rods, position, rotation)[0]
    np.testing.assert_allclose(frame[0], [[4, 1, 0], [3, 1, 0]], atol=1e-12)
    np.testing.assert_allclose(frame[1], ends[1])


def test_camera_sees_right_up_and_depth():
    camera = Camera(distance=4.0, azimuth=-np.pi / 2, elevation=0.0)
    focus = np.array([1.0, 0.0, 1.0])
    points = focus + [[0, 0, 0], [2, 0, 0], [0, 0, 1], [0, 4, 0]]
    expected = [[0, 0, 4], [0.5, 0, 4], [0, 0.25, 4], [0, 0, 8]]
    np.testing.assert_allclose(camera.project(points, focus), expected, atol=1e-12)
    above = camera._replace(elevation=np.pi / 2).project(focus + [0, 1, 3], focus)
    np.testing.assert_allclose(above, [0, 1, 1], atol=1e-12)


def test_camera_follows_smoothly_at_one_height():
    bumpy = take(40)
    bumpy.ends[:, :, :, 2] += (np.arange(40) % 2)[:, None, None]
    path = focus_path(bumpy, frame_seconds=0.05)
    np.testing.assert_allclose(path[10:30, 0], np.arange(10, 30))
    np.testing.assert_allclose(path[:, 2], path[0, 2])


def test_ticks_are_a_power_of_ten_near_the_size():
    spacings = [tick_spacing(size) for size in (0.9, 1.6, 0.6, 8.0)]
    np.testing.assert_allclose(spacings, [1.0, 1.0, 0.1, 1.0])
    assert [ticks_per_label(size) for size in (0.9, 1.6, 0.6)] == [1, 1, 3]


def test_gif_has_all_frames_in_real_time_and_shows_motion(tmp_path):
    shot = film(take(6), take(3, speed=0.0, label="after 1 step"))
    film_frames.save_gif(tmp_path / "film.gif", shot)
    with Image.open(tmp_path / "film.gif") as gif:
        assert (gif.n_frames, gif.info["duration"]) == (6, 50)
        width = gif.size[0] // 2
        pictures = []
        for index in range(gif.n_frames):
            gif.seek(index)
            pictures.append(np.asarray(gif.convert("RGB"), int)[60:300])
    left = [picture[:, :width] for picture in pictures]
    right = [picture[:, width:] for picture in pictures]
    assert np.abs(left[5] - left[2]).max() > 50  # the ground goes by
    np.testing.assert_array_equal(right[5], right[4])  # it has ended
    assert np.abs(right[2] - right[3]).max() > 50  # and that is said


def test_gif_keeps_the_colour_of_a_mark_that_goes_out_of_sight(tmp_path):
    landmark = np.array([[0.3, 0.0]] + [[100.0, 0.0]] * 11)
    shot = film(take(12, speed=0.0), landmark=landmark)
    film_frames.save_gif(tmp_path / "film.gif", shot)
    with Image.open(tmp_path / "film.gif") as gif:
        first = np.asarray(gif.convert("RGB"))
    assert (first == (0xC2, 0x18, 0x5B)).all(axis=-1).sum() > 20


def test_frames_of_quick_simulations_are_left_out():
    assert [film_frames.gif_stride(dt) for dt in (0.05, 0.008, 0.2)] == [1, 6, 1]


def test_robot_is_drawn_in_the_middle_in_the_colour_of_its_take():
    picture = next(film_frames.frames(film(take(1), take(1, label="after 1 step"))))
    pixels = np.asarray(picture, int)
    for number, colour in enumerate(film_style.COLOURS[:2]):
        wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
        y, x = np.nonzero(np.abs(pixels[80:300] - wanted).max(axis=-1) < 3)
        assert len(x) > 100
        assert abs(x.mean() - (400 * number + 200)) < 20


@pytest.mark.parametrize("axis, far", [(2, 100.0), (2, -100.0), (1, -1e3), (0, 1e6)])
def test_robot_that_is_flung_out_of_sight_is_left_out(axis, far):
    """Up and towards the camera are behind it, where a picture would be upside down."""
    flung = take(12, speed=0.0)
    flung.ends[6:, ..., axis] = far
    shown = film(flung, landmark=np.zeros((12, 2)))
    before, after = (np.asarray(list(film_frames.frames(shown))[k]) for k in (0, 6))
    is_robot = lambda pixels: (pixels == (0x7B, 0x87, 0x94)).all(axis=-1)
    assert is_robot(before[80:300]).sum() > 100
    assert is_robot(after[80:300]).sum() == 0


def test_page_holds_the_film_and_asks_nothing_of_the_network():
    landmark = np.array([[1.0, 2.0]])
    text = film_page.page(film(take(2), landmark=landmark))
    assert not re.search(r"https?://|src=|import ", text)
    (data,) = re.findall(r'application/json">(.*?)</script>', text, re.DOTALL)
    shown = json.loads(data)
    assert shown["title"] == "a <title>" and "<title>" not in data
    assert shown["landmark"] == [[1.0, 2.0]]
    (only,) = shown["takes"]
    assert only["ends"][1] == [[[1.0, 0.0, 0.2], [1.0, 0.0, 0.2]]]
    assert only["reward"] == [1.0, 1.0]


def test_page_draws_as_the_pictures_do():
    """It has no colour and no camera of its own."""
    text = film_page.page(film(take(2)))
    (data,) = re.findall(r'json">(.*?)</script>', text, re.DOTALL)
    program = text.rpartition("<script>")[2]
    assert not re.search(r"#[0-9a-f]{6}", program)
    shown = json.loads(data)
    assert shown["camera"]["azimuth"] == Camera(1.0).azimuth
    names = set(re.findall(r"\bstyle\.([a-z]+)", program)) - {"color"}
    assert names <= set(shown["style"])
    assert shown["style"]["colours"] == list(film_style.COLOURS)


def test_page_inside_a_notebook_is_the_page():
    shot = film(take(1))
    element = film_page.frame_in_notebook(shot)
    assert element.count('"') == 4  # srcdoc and style, and no other quotation marks


def test_video_without_ffmpeg_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="install it, or make a GIF"):
        film_video.save_mp4(tmp_path / "film.mp4", film(take(1)))


def test_video_gets_every_pixel_of_every_frame(monkeypatch, tmp_path):
    """A program in place of ffmpeg that keeps what it is given."""
    program = tmp_path / "ffmpeg"
    program.write_text('#!/bin/sh\nfor last; do :; done\n/bin/cat > "$last"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    shot = film(take(3))
    film_video.save_mp4(tmp_path / "film.mp4", shot)
    data = b"".join(picture.tobytes() for picture in film_frames.frames(shot))
    assert (tmp_path / "film.mp4").read_bytes() == data
    program.write_text("#!/bin/sh\n/bin/cat > /dev/null\necho no room >&2\nexit 1\n")
    with pytest.raises(ValueError, match="could not write .*: no room"):
        film_video.save_mp4(tmp_path / "film.mp4", shot)


def test_task_is_read_in_the_structure_of_its_family():
    like = {"gravity": jnp.zeros(()), "masses": jnp.zeros(2)}
    task = parse_task("1.5,-2,3", like)
    np.testing.assert_allclose(task["gravity"], 1.5)
    np.testing.assert_allclose(task["masses"], [-2, 3])
    numbered = parse_task("1.5", NumberedTask(jnp.float32(0), jnp.int32(4)))
    assert (float(numbered.task), int(numbered.number)) == (1.5, -1)


@pytest.mark.parametrize(
    "text, said",
    [
        ("1,2", "--task must have 1 numbers here, as in --task=0.00, not 2"),
        ("fast", "--task must be numbers with commas between them, .* not 'fast'"),
        ("nan", "--task must be numbers"),
    ],
)
def test_task_that_does_not_fit_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        parse_task(text, jnp.float32(0))


def test_title_has_few_numbers_of_a_task():
    few = jnp.array([1.5, -2.0, 0.0, 3.0])
    assert short_task_text(few) == "1.50, -2.00, 0.00, 3.00"
    shortened = "0.00, 1.00, 2.00, 3.00, ... (24 numbers)"
    assert short_task_text(jnp.arange(24.0)) == shortened


ROBOT = dataclasses.replace(
    experiments.load("maml_half_cheetah_velocity"),
    environment_options={"horizon": 4, "backend": "spring"},
)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"steps": 0}, "--steps must be above 0, not 0"),
        ({"formats": ()}, "--formats must be of html, gif, mp4"),
        ({"task": "1", "task_set": "ood"}, "give --task or --task-set, not both"),
    ],
)
def test_options_out_of_range_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        Options(Path("run"), **options)


def test_run_without_a_robot_is_refused(tmp_path):
    RunDirectory(tmp_path).create("short", experiments.load("maml_point"))
    with pytest.raises(ValueError, match="point has no robot to watch: name a run of"):
        watch(Options(tmp_path))


def test_memory_is_watched_for_as_long_as_it_was_trained(tmp_path):
    memory = experiments.load("rl2_grid_navi")
    experiment = dataclasses.replace(
        memory,
        environment=ROBOT.environment,
        environment_options=ROBOT.environment_options,
    )
    RunDirectory(tmp_path).create("short", experiment)
    with pytest.raises(ValueError, match="leave out --steps, or give"):
        watch(Options(tmp_path, steps=7))


class Slider:
    """A robot of one link; it moves along x by the action, and is paid for that."""

    observation_space = action_space = None
    horizon = 3

    def reset(self, key, task):
        return jnp.zeros(1), self._state(jnp.zeros(()))

    def step(self, key, state, action, task):
        x = state.simulator.pipeline_state.x.pos[0, 0] + action
        never = jnp.bool_(False)
        return x[None], self._state(x), action, never, never, {"speed": action}

    def _state(self, x):
        pose = Pose(jnp.zeros((1, 3)).at[0, 0].set(x), jnp.array([HALF_TURN]))
        return Nested(Nested(Nested(pose)))


class Pose(NamedTuple):
    pos: jax.Array
    rot: jax.Array


class Nested(NamedTuple):
    """Stands for each of brax's states: all names lead inwards."""

    inner: Any

    simulator = pipeline_state = x = property(lambda self: self.inner)


def test_poses_are_those_after_the_step():
    env = WithPoses(Slider())
    _, state = env.reset(None, None)
    *_, info = env.step(None, state, jnp.float32(2), None)
    assert float(info["speed"]) == 2
    np.testing.assert_array_equal(info["pose_position"], [[2, 0, 0]])
    np.testing.assert_array_equal(info["pose_rotation"], [HALF_TURN])


def trial():
    """A trial [2, 3, 2] of one link, whose first episode ends after 2 steps."""
    numbers = jnp.arange(12.0).reshape(2, 3, 2)
    poses = {
        "pose_position": numbers[..., None, None] * jnp.ones((1, 3)),
        "pose_rotation": jnp.broadcast_to(jnp.array(HALF_TURN), (2, 3, 2, 1, 4)),
    }
    return probe.rollout(numbers, terminated=[(0, 1, 0), (1, 1, 0)], metrics=poses)


def test_film_has_the_first_episode_of_the_first_row_of_each_stage():
    lived = trial()
    agent = SimpleNamespace(play=lambda key, task: lived)
    stages = play(jax.random.key(0), agent, jnp.float32(1), (0, 1))
    after = stages[1]
    np.testing.assert_array_equal(after.reward, [6, 8, 10])
    np.testing.assert_array_equal(after.position[:, 0, 2], [6, 8, 10])
    assert after.num_steps == 2
    assert after.mean_return == ((6 + 8) + (7 + 9 + 11)) / 2
    robot = SimpleNamespace(
        system=lambda task: model(),
        control_step=0.1,
        horizon=3,
    )
    task = NumberedTask(jnp.float32(2), jnp.int32(-1))
    made = film_of("title", "ant_velocity", robot, task, stages)
    assert [t.label for t in made.takes] == ["before adaptation", "after 1 step"]
    assert [t.ends.shape for t in made.takes] == [(2, 1, 2, 3)] * 2
    np.testing.assert_array_equal(made.takes[1].reward, [6, 8])
    np.testing.assert_allclose(made.landmark, [[0.2, 0], [0.4, 0], [0.6, 0]])


@pytest.mark.parametrize("name", ["ant_goal", "hopper_params"])
def test_robot_at_rest_stands_on_the_ground(name):
    env, tasks = envs.make(name)
    system = env.system(tasks.train(jax.random.key(0)))
    poses = jax.jit(
        lambda q: kinematics.forward(system, q, jnp.zeros(system.qd_size()))
    )
    pose, _ = poses(system.init_q)
    rods = rods_of(system)
    ends = placed(rods, np.asarray(pose.pos)[None], np.asarray(pose.rot)[None])[0]
    lowest = np.min(ends[..., 2].min(axis=1) - rods.radius)
    assert abs(lowest) < 0.1  # m


def test_mark_of_a_goal_stays_there_and_directions_have_none():
    seconds = jnp.array([0.1, 0.2])
    goal = LANDMARKS["ant_goal"](jnp.array([1.0, -2.0]), seconds)
    np.testing.assert_array_equal(goal, [[1, -2], [1, -2]])
    assert "half_cheetah_direction" not in LANDMARKS
    robots = {name for name in envs.ENVIRONMENTS if "robots" in envs.ENVIRONMENTS[name]}
    assert {name for name in robots if name.endswith(("_goal", "_velocity"))} <= set(
        LANDMARKS
    )


def saved_untrained(path):
    """The folder of a run that was stopped before its first iteration."""
    network = NetworkConfig(hidden_sizes=(4,))
    algorithm = dataclasses.replace(ROBOT.algorithm, network=network)
    experiment = dataclasses.replace(ROBOT, algorithm=algorithm, num_training_tasks=3)
    directory = RunDirectory(path)
    directory.create("untrained", experiment)
    state = build(experiment).initial_state(experiment.training)
    config = document("untrained", experiment)
    Checkpoints(directory.checkpoints).save(0, state, config=config)


def test_films_of_a_run_are_of_the_task_and_the_steps_asked_for(tmp_path, monkeypatch):
    """Physics take long to compile: here the seven links stay where they are."""
    saved_untrained(tmp_path)
    played = []

    def stand(key, agent, task, stages):
        played.append((float(task.task), stages))
        rotation = np.tile([1.0, 0.0, 0.0, 0.0], (4, 7, 1))
        still = Played(np.ones(4), np.ones((4, 7, 3)), rotation, 4, -2.5)
        return dict(zip(stages, (still, still._replace(mean_return=1.25)), strict=True))

    monkeypatch.setattr("experiments.watcher.play", stand)
    with pytest.raises(ValueError, match="must have 1 numbers"):
        watch(Options(tmp_path, task="1,2"))
    said = watch(Options(tmp_path, task="1.5", steps=2))
    assert played == [(1.5, (0, 2))]
    assert said.startswith("half_cheetah_velocity, task 1.50: mean return of 20 epis")
    assert "-2.50 before, 1.25 after adaptation" in said
    page = (tmp_path / "watch" / "watch.html").read_text()
    assert "after 2 steps" in page and "task 1.50" in page
    with Image.open(tmp_path / "watch" / "watch.gif") as gif:
        assert gif.n_frames == 4
    watch(Options(tmp_path, task_set="ood", out=tmp_path / "ood", formats=("gif",)))
    task, stages = played[-1]
    assert 2 <= task <= 3 and stages == (0, 3)
    assert [path.name for path in (tmp_path / "ood").iterdir()] == ["watch.gif"]
