"""`completion`: print what makes a shell complete command lines of milo-perf.

The shell then runs milo-perf itself for each Tab, so commands, options and names are those of the
installed version.
"""

import argparse
import os
from collections.abc import Callable, Iterable

from pipeline.commands import options
from pipeline.system import output, paths
from pipeline.system.errors import Exit

SHELLS = ("bash", "zsh", "fish")

_EPILOG = (
    'bash: add `eval "$(milo-perf completion bash)"` to ~/.bashrc. zsh: the same with zsh, after'
    " `autoload -U compinit && compinit`, in ~/.zshrc. fish: `milo-perf completion fish >"
    " ~/.config/fish/completions/milo-perf.fish`"
)


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "completion", help="print completion for bash, zsh or fish", epilog=_EPILOG
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(command=_completion)


def _completion(args: argparse.Namespace) -> Exit:
    from argcomplete.shell_integration import shellcode

    output.print_stdout(shellcode(["milo-perf"], shell=args.shell))
    return Exit.NO_REGRESSION


def answer(build_parser: Callable[[], argparse.ArgumentParser]) -> None:
    """Write the completions that a shell asks for, and exit; return if no shell asks."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    import argcomplete

    parser = build_parser()
    for action in options.actions_of(parser):
        if (names := _NAMES.get(action.dest)) is not None:
            action.completer = _NamesAndFiles(names)  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser)


class _NamesAndFiles:
    """A completer that offers names, and files whose name ends with .toml."""

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self.names = names

    def __call__(self, prefix: str, **_: object) -> list[str]:
        from argcomplete.completers import FilesCompleter

        return [*self.names(), *FilesCompleter(["toml"])(prefix)]


def _suites() -> list[str]:
    return sorted(path.stem for path in paths.project_path("suites").glob("*.toml"))


def _baselines() -> list[str]:
    folders = (paths.baselines(), paths.shipped_baselines() or paths.baselines())
    return sorted({path.stem for folder in folders for path in folder.glob("*.json")})


def environment_names() -> tuple[str, ...]:
    """Return the environments that need no file; their registry would be slow to import."""
    return ("local", "kind")


_NAMES: dict[str, Callable[[], Iterable[str]]] = {
    "suite": _suites,
    "baseline": _baselines,
    "environment": environment_names,
    **dict.fromkeys(("name", "first", "second"), _baselines),  # of `baseline`
}
"""Names that an option may have, by its name in the namespace."""
