#!/usr/bin/env bash
# ClusterLoader2 for a run, as step outputs: clusterloader2.sh needed|build
#
# SUITE, DRIVER  arguments of `run`; DRIVER may be empty or `all`
# SUBJECT        folder where a suite's path starts
# PYTHON         with the packages of the pipeline
# SOURCE         its folder in a clone of kubernetes/perf-tests; need not be there if the program was kept
set -euo pipefail

needed() { # `plan` starts nothing, and knows a suite of the caller's too
  local only=() plan
  [ "${DRIVER:-all}" = all ] || only=(--driver "$DRIVER")
  cd "$SUBJECT"
  if ! plan=$("$PYTHON" -P -m pipeline --quiet plan --suite "$SUITE" "${only[@]}" --json); then
    echo needed=false # measure.sh meets the same error, and the report shows it
    return
  fi
  "$PYTHON" -c '
import json, sys
drivers = [workload["driver"] for workload in json.load(sys.stdin)["plan"]["workloads"]]
print("needed=true" if any(one.startswith("clusterloader2") for one in drivers) else "needed=false")' <<< "$plan"
}

build() {
  local program=$HOME/.cache/milo-perf-clusterloader2/clusterloader2
  if [ ! -x "$program" ]; then
    mkdir -p "${program%/*}"
    cd "$SOURCE"
    CGO_ENABLED=0 go build -trimpath -o "$program.partial" ./cmd >&2 # static, so that a load pod can run it too
    mv "$program.partial" "$program"
  fi
  echo "path=$program"
}

case $1 in
  needed | build) "$1" ;;
  *)
    echo "clusterloader2.sh: no step \`$1\`" >&2
    exit 2
    ;;
esac
