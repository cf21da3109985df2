"""The command line: typed options, and one clear line for what is wrong with them."""

import contextlib
import difflib
import io
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import tyro

from experiments import family_options

_SETTINGS = (tyro.conf.AvoidSubcommands, tyro.conf.FlagConversionOff)


def fail(message: object) -> NoReturn:
    """Prints one line and exits with code 2."""
    print(f"error: {' '.join(str(message).split())}", file=sys.stderr)
    raise SystemExit(2)


def take_no_arguments(usage: str) -> None:
    """Prints `usage` for --help, and refuses any other argument."""
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(usage)
        raise SystemExit(0)
    if sys.argv[1:]:
        fail(f"no arguments are taken, not {' '.join(sys.argv[1:])}: see --help")


@contextlib.contextmanager
def clear_errors() -> Iterator[None]:
    """Turns errors about values and files into one line and exit code 2."""
    try:
        yield
    except (ValueError, OSError) as error:
        fail(error)


def one_line(error: Exception) -> str:
    """The kind of an error and the first line of what it says."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}".rstrip(": ")


class Interrupted(Exception):
    """The user stopped a run; everything up to there is saved."""


@contextlib.contextmanager
def clear_ends(go_on: str) -> Iterator[None]:
    """Lets a long run end in words: how to go on after Ctrl-C, or what went wrong.

    Args:
      go_on: the command that continues the run.
    """
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as stop:
        reason = str(stop) or "stopped at once; the newest checkpoint is kept"
        print(f"{reason}; go on with:\n  {go_on}")
        raise SystemExit(130) from None
    except (FloatingPointError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def parse(target: Callable, program: str, arguments: Sequence[str], **settings) -> Any:
    """What `tyro.cli` makes of the arguments, with errors of one line.

    Args:
      target: a dataclass or function, whose fields become options.
      program: how the command is called, for `--help`.
      arguments: of the command line.
      **settings: for tyro; `default` is the instance whose fields are overridden. All
        options of the task family of an experiment may be given.
    """
    _check_not_empty(arguments)
    settings |= {"prog": program, "config": _SETTINGS}
    settings |= {"registry": family_options.REGISTRY}
    if "default" in settings:
        settings["default"] = family_options.offering_all(
            settings["default"], value_of("--environment", list(arguments))
        )
    parser = tyro.extras.get_parser(target, **settings)
    options = list(parser._option_string_actions)  # tyro has no public list of them
    arguments = [_full_name(options, argument) for argument in arguments]
    _check_names(options, arguments, program)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(target, args=arguments, **settings)
    except SystemExit as stop:
        if stop.code:
            fail(_first_sentence(said.getvalue()))
        raise


def names_in(text: str) -> list[str]:
    """What is separated by commas, without the blanks around it."""
    return [name.strip() for name in text.split(",")]


def value_of(option: str, arguments: list[str]) -> str | None:
    """What is typed after an option that is needed before the rest can be parsed."""
    for index, argument in enumerate(arguments):
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
        if argument == option and index + 1 < len(arguments):
            return arguments[index + 1]
    return None


def _check_not_empty(arguments: Sequence[str]) -> None:
    """Fails for "" and --option="", which would stand for a default or a folder."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if re.fullmatch(r"(--[^=]*=)?", argument):
            option = argument.rstrip("=") or before
            name = option if re.fullmatch(r"--[^=]*", option) else "an argument"
            fail(
                f"{name} is empty, as a variable is that was never set: give a value, "
                "or leave it out"
            )


def _full_name(options: Sequence[str], argument: str) -> str:
    """Completes --num-seeds to --training.num-seeds, where only one option ends so."""
    name, equals, value = argument.partition("=")
    name = name.replace("_", "-") if name.startswith("--") else name
    ends = [option for option in options if option.endswith(f".{name[2:]}")]
    if name.startswith("--") and name not in options and len(ends) == 1:
        name = ends[0]
    return name + equals + value


def _check_names(
    options: Sequence[str], arguments: Sequence[str], program: str
) -> None:
    subject = program.split()[-1]
    for argument in arguments:
        name = argument.split("=")[0].replace("_", "-")
        if re.match(r"--\w", name) and name not in options:
            fitting = [option for option in options if option.endswith(f".{name[2:]}")]
            if fitting:
                fail(f"{name} may be any of {', '.join(fitting)}")
            group = name.rpartition(".")[0]
            near = [option for option in options if option.startswith(group + ".")]
            valid = near or [option for option in options if option.startswith("--")]
            close = difflib.get_close_matches(name, valid, n=1)
            guess = f"did you mean {close[0]}? " if close else ""
            fail(
                f"{subject} has no option {name}; {guess}choose from {', '.join(valid)}"
            )


def _first_sentence(box: str) -> str:
    """The text of tyro's box, without frame, title and what follows the rule."""
    lines = [line.strip("│ \n") for line in box.splitlines() if "│" in line]
    rule = next((i for i, line in enumerate(lines) if line.startswith("──")), None)
    return " ".join(lines[:rule]) or box
