#!/usr/bin/env bash
# Measures the newest releases, each against the one before, unless the branch has them already.
#
# SUBJECT         clone with its tags
# COUNT           number of releases
# SUITE           of every step
# BUILD           command that builds a release
# BUDGET          time of all steps, such as 150m
# BRANCH, REMOTE  where measured releases are kept; need not be there
# OUT             folder of the measurement
# PYTHON          with the packages of the pipeline
set -euo pipefail

finish() { # SENTENCE
  echo "$1" >&2
  exit 0
}

mapfile -t tags < <(git -C "$SUBJECT" tag --list --sort=version:refname | grep -E '^v[0-9]+\.[0-9]+\.[0-9]+$' | tail -n "$COUNT")
[ "${#tags[@]}" -ge 2 ] || finish '::warning::there are fewer than two releases to compare'

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git init --quiet "$copy/git"
if git -C "$copy/git" fetch --quiet --depth 1 "$REMOTE" "refs/heads/$BRANCH" 2> "$copy/fetch.log" &&
  git -C "$copy/git" show FETCH_HEAD:releases/releases.json > "$copy/releases.json" 2> "$copy/show.log"; then
  newest=$("$PYTHON" -P -c 'import json, sys; print(json.load(sys.stdin)["steps"][-1]["release"])' < "$copy/releases.json" || true)
  [ "$newest" != "${tags[-1]}" ] || finish "$newest is measured already"
fi

cd "$SUBJECT"
"$PYTHON" -P -m pipeline releases . "${tags[0]}..${tags[-1]}" --suite "$SUITE" --build "$BUILD" --budget "$BUDGET" --out "$OUT"
[ ! -f "$OUT/releases.md" ] || cat "$OUT/releases.md" >> "$GITHUB_STEP_SUMMARY"
