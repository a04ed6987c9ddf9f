"""The command line: arguments in, exit code out, nothing in between.

Heavy libraries are imported by the command that needs them, so that `--help` answers at once.
"""

import argparse
import contextlib
import errno
import io
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pipeline.commands import baseline, judge, kind
from pipeline.commands import capacity as arguments
from pipeline.commands import cluster as cluster_arguments
from pipeline.commands import evaluate as evaluate_arguments
from pipeline.commands import history as history_arguments
from pipeline.commands import publish as publish_arguments
from pipeline.commands import run as wish_arguments
from pipeline.render.registry import RENDERERS
from pipeline.system import log, output, terminal
from pipeline.system.errors import ConfigError, Exit, PipelineError, hint_for

if TYPE_CHECKING:  # these would load what `--help` does not need
    from pipeline.model.plan import PlanSummary
    from pipeline.model.report import Report
    from pipeline.runs.request import Wish

_EXITS = (
    "exit codes: 0 no regression, 1 crash, 2 bad arguments or configuration, 3 regression,"
    " 4 inconclusive with --strict, 5 a subject did not start, 6 the load was not applied as asked,"
    " 7 baseline missing or unreadable, 130 interrupted"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    output.prepare()
    args = _parsed(argv)
    log.configure(verbose=args.verbose)
    _catch_signals()
    exit_code = _exit_code(args)
    if exit_code is Exit.NO_REGRESSION and output.has_failed():
        return Exit.WRONG_LOAD
    return exit_code


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments; help and complaints are printed as everything else is."""
    said, complaint = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complaint):
            return _parser().parse_args(argv)
    finally:
        output.show(said.getvalue())
        if complaint.getvalue():
            output.tell(complaint.getvalue().removesuffix("\n"))


def _exit_code(args: argparse.Namespace) -> Exit:
    """Run a command, and return how the process ends; say what kept it from its end."""
    try:
        _remove_left(args)
        return Exit(args.command(args))
    except PipelineError as error:
        log.log.debug("where it was raised:", exc_info=True)
        return _refused(f"{error}", error.hint, error.exit_code)
    except KeyboardInterrupt:
        output.tell("interrupted: everything that was started is stopped")
        return Exit.INTERRUPTED
    except ModuleNotFoundError as error:
        if (error.name or "pipeline").startswith("pipeline"):
            raise
        return _refused(
            f"the Python package `{error.name}` is not installed",
            "in a clone: `python3 -m venv .venv && .venv/bin/pip install .`, or `nox -s perf`",
            Exit.NOT_STARTED,
        )
    except OSError as error:
        log.log.debug("where it was raised:", exc_info=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            said = f"the disk is full: {error.filename or 'a file'}"
            return _refused(said, hint_for(error), Exit.WRONG_LOAD)
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and error.filename:
            said = f"{error.filename}: {error.strerror}"
            return _refused(said, hint_for(error), Exit.BAD_ARGUMENTS)
        raise


def _refused(said: str, hint: str, exit_code: Exit) -> Exit:
    output.tell(f"error: {said}")
    if hint:
        output.tell(f"hint: {hint}")
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline",
        description="Load the Milo API server, measure it, and judge one build against another.",
        epilog=_EXITS,
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="log every program run")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="measure two builds and judge", epilog=_EXITS)
    wish_arguments.add(run)
    run.add_argument(
        "--resume",
        type=Path,
        metavar="DIR",
        help="go on with an interrupted run; with --pairs N, add N pairs to one that has ended"
        " inconclusive",
    )
    run.add_argument(
        "--trust",
        action="store_true",
        help="with --resume: go on with a folder that was not begun here, which executes the"
        " builds and commands that it names",
    )
    run.add_argument("--out", type=Path, metavar="DIR", help="default: out/ and the time")
    run.add_argument(
        "--prior",
        metavar="FILE|none",
        help="how much pairs varied in earlier runs: a spread file or nights (.jsonl), or none"
        " (default: runs on this machine, otherwise what the suite ships)",
    )
    run.add_argument("--json", action="store_true", help="print verdict.json and not the report")
    _add_strict(run)
    run.set_defaults(command=_run)

    plan = commands.add_parser("plan", help="say what would run; start nothing")
    wish_arguments.add(plan)
    plan.add_argument("--json", action="store_true", help="print it as JSON")
    plan.set_defaults(command=_plan)

    arguments.add(commands).set_defaults(command=_capacity)
    judge.add(commands).set_defaults(command=_judge)
    history_arguments.add(commands).set_defaults(command=_history)
    publish_arguments.add(commands).set_defaults(command=_publish)
    evaluate_arguments.add(commands).set_defaults(command=_evaluate)
    cluster_arguments.add(commands).set_defaults(command=_cluster)

    compare = commands.add_parser("compare", help="judge a folder's results again", epilog=_EXITS)
    compare.add_argument("dir", type=Path, metavar="DIR")
    compare.add_argument("--json", action="store_true", help="print verdict.json")
    compare.add_argument(
        "--baseline", metavar="NAME", help="judge by stored numbers, as far as they hold here"
    )
    _add_strict(compare)
    compare.set_defaults(command=_compare)

    render = commands.add_parser("render", help="print the report of a folder's results")
    render.add_argument("dir", type=Path, metavar="DIR")
    render.add_argument("--format", choices=RENDERERS, default="text")
    render.set_defaults(command=_render)

    baseline.add(commands)
    kind.add(commands)

    doctor = commands.add_parser("doctor", help="say what is missing and how to get it")
    doctor.add_argument(
        "--environment", metavar="NAME|FILE", help="also what kind, or a cluster, would lack"
    )
    doctor.add_argument("--json", action="store_true", help="print it as JSON")
    doctor.set_defaults(command=_doctor)
    return parser


def _add_strict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--strict", action="store_true", help="exit with 4 when inconclusive")


def _run(args: argparse.Namespace) -> Exit:
    from pipeline.runs import stages

    if args.resume is not None:
        names = (*(name for name in wish_arguments.NAMES if name != "pairs"), "out", "prior")
        given = [name for name in names if getattr(args, name) is not None]
        if args.pairs == wish_arguments.AUTO:
            given.append("pairs auto")
        if given:
            raise ConfigError(f"--{given[0]} cannot be changed by --resume", hint="start a new run")
        out = args.resume
        report = stages.resume(out, more=args.pairs, is_trusted=args.trust)
    elif args.trust:
        raise ConfigError("--trust is of --resume only")
    else:
        wish = _with_prior(wish_arguments.wish(args), args.prior)
        out = args.out or terminal.new_folder(args.suite)
        report = stages.run(wish, out)
    exit_code = _conclude(args, report, out)
    stages.feed(report, out)
    return exit_code


def _with_prior(wish: "Wish", written: str | None) -> "Wish":
    """Return a wish with the spreads that `--prior` names, if it was given."""
    if written is None:
        return wish
    import dataclasses

    from pipeline.runs.history.spreads_file import named_spreads

    return dataclasses.replace(wish, prior=named_spreads(written))


def _capacity(args: argparse.Namespace) -> Exit:
    arguments.check(args)
    from pipeline.runs.capacity import stages

    out = args.resume or args.out or terminal.new_folder(f"capacity-{args.things}")
    capacity = stages.answered(args, out)
    output.show(stages.shown(capacity, is_json=args.json, **terminal.shape()))
    return stages.exit_code(capacity)


def _history(args: argparse.Namespace) -> Exit:
    from pipeline.render.history import history_text
    from pipeline.runs.history import answer, stages

    found = stages.judged(args)
    said = answer.history_json(found) if args.json else history_text(found, **terminal.shape())
    output.show(said)
    exit_code = stages.exit_code(found, alarm=args.alarm)
    if args.html is not None and not stages.write_page(found, args):
        return exit_code or Exit.WRONG_LOAD
    return exit_code


def _publish(args: argparse.Namespace) -> Exit:
    from pipeline.publish import stages

    for said in stages.publish(args):
        output.show(f"{said}\n")
    return Exit.NO_REGRESSION


def _evaluate(args: argparse.Namespace) -> Exit:
    evaluate_arguments.check(args)
    from pipeline.runs.evaluate import stages
    from pipeline.storage import codec

    out = args.resume or args.out or terminal.new_folder("evaluate")
    found = stages.evaluated(args, out)
    output.show(codec.evaluation_json(found) if args.json else stages.shown(found))
    return Exit.NO_REGRESSION


def _cluster(args: argparse.Namespace) -> Exit:
    cluster_arguments.check(args)
    from pipeline.environments.gke import actions

    for said in actions.carried_out(args):
        output.show(said)
    return Exit.NO_REGRESSION


def _judge(args: argparse.Namespace) -> Exit:
    found = judge.judged(args)
    output.show(judge.shown(found, is_json=args.json))
    return judge.exit_code(found, strict=args.strict)


def _compare(args: argparse.Namespace) -> Exit:
    from pipeline.runs import baselines, stages

    if args.baseline:
        return _answer(args, baselines.compared(args.dir, args.baseline), "")
    return _conclude(args, stages.compare(args.dir), args.dir)


def _render(args: argparse.Namespace) -> Exit:
    from pipeline.runs import stages

    report = stages.compare(args.dir)
    output.show(stages.render(report, args.dir, args.format, **terminal.shape()))
    return Exit.NO_REGRESSION


def _plan(args: argparse.Namespace) -> Exit:
    from pipeline.render.plan import plan_text
    from pipeline.runs import request
    from pipeline.storage import codec

    plan, need = request.foreseen(wish_arguments.wish(args))
    if plan.environment == "remote":
        plan = _with_cost(plan)
    output.show(codec.plan_json(plan, need) if args.json else plan_text(plan, need))
    return Exit.NO_REGRESSION


def _with_cost(plan: "PlanSummary") -> "PlanSummary":
    """Return a plan with what it would cost on a cluster that is made for it."""
    import dataclasses

    from pipeline.environments.gke import cost

    night = cost.night(plan.duration_s, plan.load_pods, cost.prices())
    said = f"about {night.usd:.2f} USD on {night.machines}, prices of {night.as_of}"
    return dataclasses.replace(plan, on_gke=said)


def _doctor(args: argparse.Namespace) -> Exit:
    from pipeline.storage import codec
    from pipeline.toolchain import doctor

    checks = doctor.checks()
    if args.environment:
        from pipeline.environments import cluster_checks

        checks += cluster_checks.checks(args.environment)
    output.show(codec.list_json("checks", checks) if args.json else doctor.render(checks))
    return Exit.NOT_STARTED if doctor.is_missing(checks) else Exit.NO_REGRESSION


def _conclude(args: argparse.Namespace, report: "Report", out: Path) -> Exit:
    """Print the answer, write what the run's folder is to hold, and return the exit code."""
    from pipeline.runs import stages

    exit_code = _answer(args, report, stages.next_step(report, out))
    if stages.write(report, out, exit_code):
        log.log.info("everything is in %s", out)
    return exit_code


def _answer(args: argparse.Namespace, report: "Report", next_step: str) -> Exit:
    """Print the answer, and return the exit code."""
    from pipeline.judge import policy
    from pipeline.render import words
    from pipeline.render.text import text
    from pipeline.storage import codec

    exit_code = policy.exit_code(report, strict=args.strict)
    if args.json:
        output.show(codec.verdict_json(report, exit_code, words.answer(report), next_step))
    else:
        output.show(text(report, **terminal.shape(), next_step=next_step))
    return exit_code


def _catch_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a shell's `&` lets it be ignored
        signal.signal(number, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` asks for that
        signal.signal(signal.SIGHUP, _interrupt)


def _remove_left(args: argparse.Namespace) -> None:
    """Remove the keys that a run that was killed has left in a folder that the command is given."""
    given = [getattr(args, name, None) for name in ("dir", "out", "resume")]
    for folder in given:
        if isinstance(folder, Path):
            from pipeline.system.private_folder import remove_left

            remove_left(folder)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
