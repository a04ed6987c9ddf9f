"""Load a script as k6 does, without applying a load, so that its mistakes are found at once."""

import tempfile
from pathlib import Path

from pipeline.drivers.k6 import command
from pipeline.drivers.k6.settings import K6
from pipeline.model.ports import Program
from pipeline.model.subject import Arm
from pipeline.system import processes
from pipeline.system.errors import ConfigError

_LONGEST_S = 30.0


def require_loadable(settings: K6, program: Program) -> None:
    """Return if k6 can load a script beside its suite.

    Only the init code runs, which sends no request; `setup` does not run.

    Raises:
        ConfigError: The script does not load; the message is k6's own.
    """
    script = settings.own_files()[settings.script]
    with settings.laid_out() as scripts, tempfile.TemporaryDirectory() as folder:
        token, log = Path(folder) / "token", Path(folder) / command.LOG
        token.write_text("none")
        variables = command.environment(settings, {}, Path(folder), seed=1)
        variables["ARMS"] = ",".join(Arm)
        if settings.rate is not None:
            variables["RATE"] = f"{len(Arm) * settings.rate:g}"
        for arm in Arm:
            variables[f"{arm.upper()}_URL"] = "https://127.0.0.1:1"
            variables[f"{arm.upper()}_TOKEN_FILE"] = str(token)
            variables[f"{arm.upper()}_RESTART_URL"] = "http://127.0.0.1:1"
        path = scripts / settings.script
        argv = [str(program.path), "inspect", "--include-system-env-vars", str(path)]
        try:
            processes.run(argv, output=log, timeout_s=_LONGEST_S, env=variables, hide=("K6_",))
        except processes.CommandError as error:
            said = next(iter(command.log_errors(log)), "") or str(error)
            for temporary in (f"file://{scripts}", str(scripts)):
                said = said.replace(temporary, str(script.parent))
            raise ConfigError(
                f"k6 cannot load {script}: {said}",
                hint=f"mend the script; {program.path} inspect FILE says this too",
            ) from error
