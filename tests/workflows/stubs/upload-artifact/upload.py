"""What actions/upload-artifact does, into a folder."""

import os
import shutil
from pathlib import Path

found = [
    path
    for line in os.environ["FILES"].split("\n")
    if line.strip()
    for path in Path("/").glob(line.strip().lstrip("/"))
]
files = [f for p in found for f in (p.rglob("*") if p.is_dir() else [p]) if f.is_file()]
name, run = os.environ["NAME"], os.environ["GITHUB_RUN_ID"]
if os.environ["ARCHIVE"] == "false":
    if len(files) > 1:
        raise SystemExit("without an archive, only one file can be uploaded")
    name = files[0].name if files else ""
into = Path(os.environ["ARTIFACTS"], run, name)
if name and into.exists():
    if os.environ["OVERWRITE"] != "true":
        raise SystemExit(f"an artifact of the name {into.name} is there already")
    shutil.rmtree(into)
if not files and os.environ["NONE"] == "error":
    raise SystemExit("no file was found")
# Names are kept below the deepest folder that all paths share.
top = Path(os.path.commonpath([p if p.is_dir() else p.parent for p in found] or [Path("/")]))
for file in files:
    target = into / file.relative_to(top)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)  # without its mode, as there
if files:
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as outputs:
        url = f"https://github.example/milo-os/milo/actions/runs/{run}/artifacts/{name}"
        outputs.write(f"artifact-url={url}\n")
