"""`run`: measure two builds and judge the candidate."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.commands import explain, options, publish
from pipeline.commands.options import duration_s
from pipeline.system import log, output, paths, terminal
from pipeline.system.errors import ConfigError, Exit, PipelineError

if TYPE_CHECKING:  # these would load what `--help` does not need
    from pathlib import Path

    from pipeline.model.report import Report
    from pipeline.model.request import RunRequest

DRIVERS = ("k6", "clusterloader2")
"""Drivers that --driver can select; `drivers.registry` is slow to import."""

ERROR_FILE = "error.txt"
"""File of the error of a run that is published; see `publish.trusted`."""

AUTO = "auto"
"""Value of --pairs: as many as the verdict needs."""

MEASUREMENT_OPTIONS = (
    *("suite", "interleave", "environment", "profile", "keep", "load_pods", "seed", "build"),
    *("prior", "driver"),
)
"""Options of `add_measurement` that --resume restores from request.json."""

REQUEST_OPTIONS = (*("candidate", "against", "baseline", "budget"), *MEASUREMENT_OPTIONS)
"""Options that `run --resume` restores from request.json."""


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "run", help="measure two builds and judge the candidate", epilog=options.RESULTS_EPILOG
    )
    add_request(parser)
    options.add_resume(
        parser, "resume an interrupted run; with --pairs N, add N pairs to an inconclusive one"
    )
    options.add_out(parser)
    options.add_json(parser, "the verdict")
    options.add_strict(parser)
    parser.add_argument(
        "--explain",
        action="store_true",
        help="if a metric regressed or improved, measure extra pairs with profiles within the"
        " budget, and say what changed inside; see `explain`",
    )
    _add_publish(parser)
    parser.set_defaults(command=_run)


def _add_publish(parser: argparse.ArgumentParser) -> None:
    """Add --publish and --pull-request."""
    parser.add_argument(
        "--publish",
        action="append",
        choices=("summary", "check", "comment"),
        help="also report the answer to GitHub, with the variables of `publish`; may be repeated",
    )
    parser.add_argument(
        "--pull-request",
        type=options.positive_integer,
        metavar="N",
        help="with --publish: pull request to report to, outside of its workflow",
    )
    parser.add_argument(
        "--author",
        metavar="LOGIN",
        help="with --publish: login whose token is used, so that its comment is updated (default:"
        f" {publish.AUTHOR})",
    )


def add_request(parser: argparse.ArgumentParser) -> None:
    """Add the options of a request, which `run` and `plan` share."""
    options.add_candidate(parser)
    against = parser.add_mutually_exclusive_group()
    against.add_argument("--against", metavar="SPEC", help="build to compare it with")
    against.add_argument(
        "--baseline",
        metavar="NAME",
        help="stored baseline to compare it with (default: reference-SUITE; for Milo, the binary in"
        " MILO_BASELINE_BIN or the newest milo-VERSION-SUITE)",
    )
    parser.add_argument(
        "--budget",
        type=duration_s,
        metavar="TIME",
        help="start no pair that would end later than this, such as 20m",
    )
    add_measurement(parser)


def add_measurement(parser: argparse.ArgumentParser, *, has_pairs: bool = True) -> None:
    """Add the options that say how two builds are measured, whichever they are.

    `has_pairs` is False for a command that chooses the number of pairs itself.
    """
    parser.add_argument("--suite", help="smoke, pr, full, or a .toml file (default: pr)")
    parser.add_argument(
        "--driver",
        choices=DRIVERS,
        help="run only the workloads of this driver (default: all of the suite)",
    )
    options.add_build(parser)
    if has_pairs:
        parser.add_argument(
            "--pairs",
            type=_pairs,
            metavar="N|auto",
            help="number of pairs, or as many as the verdict needs, up to the suite's"
            " (default: auto)",
        )
    else:
        parser.set_defaults(pairs=AUTO)
    parser.add_argument(
        "--interleave",
        choices=("request", "trial"),
        help="both builds at once, request by request (default), or one after the other",
    )
    options.add_environment(parser, "the suite's")
    parser.add_argument(
        "--keep",
        action="store_const",
        const=True,
        help="do not delete a kind cluster that is created for the run",
    )
    parser.add_argument(
        "--load-pods",
        type=options.whole_number,
        metavar="N",
        help="send the load from N pods of the cluster, instead of from this machine",
    )
    options.add_seed(parser)
    parser.add_argument(
        "--prior",
        metavar="FILE|none",
        help="spread of pairs in earlier runs: a spread file or nightly records (.jsonl), or none"
        " (default: runs on this machine, otherwise what the suite ships)",
    )


def request(args: argparse.Namespace) -> "RunRequest":
    """Return what the arguments ask for."""
    from pipeline.runs.request import default_candidate

    typed = options.typed_options(args, "candidate", "against", "baseline")
    typed.setdefault("candidate", default_candidate())
    return replace(measurement(args), **typed, budget_s=args.budget)


def measurement(args: argparse.Namespace) -> "RunRequest":
    """Return the part of a request that `add_measurement` adds."""
    from pipeline.model.request import RunRequest
    from pipeline.model.results import Interleave

    typed = options.typed_options(args, *MEASUREMENT_OPTIONS)
    if args.interleave:
        typed["interleave"] = Interleave(args.interleave)
    return RunRequest(**typed, pairs=None if args.pairs == AUTO else args.pairs)


def _run(args: argparse.Namespace) -> Exit:
    options.check_resume(args, REQUEST_OPTIONS, "start a new run")
    if args.resume is not None and args.pairs == AUTO:
        raise ConfigError("--pairs auto cannot be changed by --resume", hint="start a new run")
    from pipeline.runs import run

    out = args.resume or args.out or terminal.new_folder(args.suite)
    publication = _publication(args, out)
    with _reporting_errors(publication):
        if args.resume is not None:
            report = run.resume(out, more=args.pairs, is_trusted=args.trust)
        else:
            report = run.run(request(args), out)
    exit_code = conclude(args, report, out)
    run.feed(report, out)
    if args.explain:
        explain.explain_finished(args, report, out)
    if publication is None:
        return exit_code
    (out / ERROR_FILE).unlink(missing_ok=True)  # of an earlier attempt
    published = _publish(publication)
    return published if exit_code is Exit.NO_REGRESSION else exit_code


def _publication(args: argparse.Namespace, out: "Path") -> argparse.Namespace | None:
    """Return the arguments of `publish` for --publish, after a check that it can be sent.

    Raises:
        PipelineError: There is no token, no pull request, or GitHub does not answer.
    """
    if not args.publish:
        for name in ("pull_request", "author"):
            if getattr(args, name) is not None:
                option = f"--{name.replace('_', '-')}"
                raise ConfigError(f"{option} needs --publish", hint="such as --publish comment")
        return None
    from pipeline.publish import targets
    from pipeline.publish.event import take_runner

    words = [word for target in args.publish for word in ("--to", target)]
    if args.pull_request is not None:
        words += ["--pull-request", f"{args.pull_request}"]
    if args.author is not None:
        words += ["--author", args.author]
    publication = publish.arguments([f"{out}", *words, "--comment", "always"])
    publication.is_own, publication.runner = True, take_runner()
    targets.require_ready(publication)
    return publication


@contextmanager
def _reporting_errors(publication: argparse.Namespace | None) -> Iterator[None]:
    """Publish the error that ends a run, if the run has begun and is to be published."""
    try:
        yield
    except PipelineError as error:
        if publication is not None and (publication.dir / paths.RESULTS).is_file():
            from pipeline.storage import codec

            hint = f"\nhint: {error.hint}" if error.hint else ""
            codec.write_text(publication.dir / ERROR_FILE, f"error: {error}{hint}\n")
            _publish(publication)
        raise


def _publish(publication: argparse.Namespace) -> Exit:
    """Publish, and return the exit code; an error is logged, because the answer stands."""
    from pipeline.publish import targets

    try:
        for text in targets.publish(publication):
            log.log.info("%s", text)
    except PipelineError as error:
        log.log.error("not published: %s", error)
        if error.hint:
            log.log.error("hint: %s", error.hint)
        return error.exit_code
    return Exit.NO_REGRESSION


def conclude(args: argparse.Namespace, report: "Report", out: "Path") -> Exit:
    """Print the answer, write the reports into the run's folder, and return the exit code."""
    from pipeline.runs import reports

    exit_code = print_answer(args, report, reports.next_step(report, out))
    if reports.write(report, out, exit_code):
        log.log.info("everything is in %s", out)
    return exit_code


def print_answer(args: argparse.Namespace, report: "Report", next_step: str = "") -> Exit:
    """Print the answer as text or JSON, and return the exit code."""
    from pipeline.judge import policy
    from pipeline.render import answer_line
    from pipeline.render.text import text
    from pipeline.storage import codec

    exit_code = policy.exit_code(report, strict=args.strict)
    if args.json:
        output.print_stdout(
            codec.verdict_json(report, exit_code, answer_line.answer(report), next_step)
        )
    else:
        output.print_stdout(text(report, **terminal.width_and_color(), next_step=next_step))
    return exit_code


def _pairs(text: str) -> int | str:
    try:
        return text if text == AUTO else options.integer(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}: give a number or `{AUTO}`") from None
