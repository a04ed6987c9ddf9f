#!/usr/bin/env bash
# Runs the pipeline and prints what it answered as step outputs; fails only where it could not be run at all.
#
# SUITE, CANDIDATE, BASELINE, BUILD, PAIRS, BUDGET  arguments of `run`; BUDGET may be empty
# EXPLAIN                          `true` to say what changed inside when a metric moved
# CANDIDATE_IMAGE, BASELINE_IMAGE  images with the binary at IMAGE_PATH; empty for none
# ENVIRONMENT                      file or name for --environment; unset, empty or `suite` for the suite's own
# DRIVER                           driver whose workloads are run; unset, empty or `all` for all of them
# SUBJECT                          the caller's repository, where a suite's path starts
# ARMS                             folder of fetched binaries
# OUT                              folder of the run
# PYTHON                           with the packages of the pipeline
set -euo pipefail

from_image() { # ARM IMAGE
  local container
  mkdir -p "$ARMS/$1"
  container=$(docker create -- "$2" -)
  docker cp "$container:$IMAGE_PATH" "$ARMS/$1/milo"
  docker rm "$container" > /dev/null
}

only_file() { # ARM: an artifact holds one file of any name, and lost that it may be executed
  local found
  mapfile -t found < <(find "$ARMS/$1" -type f)
  if [ "${#found[@]}" != 1 ]; then
    echo "::error::$1: the artifact has ${#found[@]} files; one is needed, the binary" >&2
    exit 2
  fi
  [ "${found[0]}" = "$ARMS/$1/milo" ] || mv "${found[0]}" "$ARMS/$1/milo"
  chmod +x "$ARMS/$1/milo"
}

[ -z "$CANDIDATE_IMAGE" ] || from_image candidate "$CANDIDATE_IMAGE"
[ -z "$BASELINE_IMAGE" ] || from_image baseline "$BASELINE_IMAGE"
for arm in candidate baseline; do
  [ ! -d "$ARMS/$arm" ] || only_file "$arm"
done

arguments=(--suite "$SUITE" --candidate "$CANDIDATE" --against "$BASELINE" --pairs "$PAIRS" --out "$OUT")
[ -z "$BUDGET" ] || arguments+=(--budget "$BUDGET")
[ "${EXPLAIN:-}" != true ] || arguments+=(--explain)
[ "${ENVIRONMENT:-suite}" = suite ] || arguments+=(--environment "$ENVIRONMENT")
[ "${DRIVER:-all}" = all ] || arguments+=(--driver "$DRIVER")
[[ "$CANDIDATE$BASELINE" != *source:* ]] || arguments+=(--build "$BUILD")

cd "$SUBJECT"
code=0
log="$ARMS.log" error="$ARMS.error"
{ "$PYTHON" -P -m pipeline --error-file "$error" run "${arguments[@]}" 2>&1 >&3 | tee "$log" >&2; } 3>&1 || code=$?
mkdir -p "$OUT"
mv "$log" "$OUT/pipeline.log"
case $code in
  0 | 3 | 4) ;;
  *) mv "$error" "$OUT/error.txt" || tail -n 20 "$OUT/pipeline.log" > "$OUT/error.txt" ;; # a crash has its traceback only
esac
echo "exit-code=$code" >> "$GITHUB_OUTPUT"
[ -f "$OUT/verdict.json" ] || exit 0
verdict=$("$PYTHON" -c 'import json, sys; print(json.load(open(sys.argv[1]))["verdict"])' "$OUT/verdict.json") || verdict=''
case $verdict in # nothing else can be an output: a line break in it would begin another one
  improved | regressed | inconclusive | unchanged) echo "verdict=$verdict" >> "$GITHUB_OUTPUT" ;;
  *) echo '::error::verdict.json has a verdict that is none' >&2 ;;
esac
