#!/usr/bin/env bash
# Prints the spec of both builds as step outputs, and what has to be fetched first for each.
#
# CANDIDATE, BASELINE  as the caller wrote them; see `candidate` in benchmark.yml
# HEAD, BASE           commits that `checkout` alone means; BASE is empty where there is no pull request
# SUBJECT              clone that is built from; measure.sh works in it, so `source:.` is what a person can repeat
# PIPELINE             clone of the pipeline, for `reference@REVISION`
# ARMS                 folder for binaries that are fetched: ARMS/candidate/milo
set -euo pipefail

fail() {
  echo "::error::$1" >&2
  exit 2
}

build() { # ARM WRITTEN REVISION
  local arm=$1 written=${2%%\?*} settings='' tree
  [[ $2 != *[$'\n\r']* ]] || fail "$arm: it has more than one line" # would be outputs of its own
  [ "$written" = "$2" ] || settings="?${2#*\?}"
  case $written in
    checkout)
      [ -n "$3" ] || fail "$arm: \`checkout\` needs a pull request; write checkout:REVISION"
      echo "$arm=source:.@$3$settings"
      ;;
    checkout:?*) echo "$arm=source:.@$(revision "$SUBJECT" "${written#checkout:}")$settings" ;;
    artifact:?*)
      echo "$arm-artifact=${written#artifact:}"
      echo "$arm=binary:$ARMS/$arm/milo$settings"
      ;;
    image:?*)
      echo "$arm-image=${written#image:}"
      echo "$arm=binary:$ARMS/$arm/milo$settings"
      ;;
    reference) echo "$arm=reference$settings" ;;
    reference@?*)
      tree=$(reference_at "$(revision "$PIPELINE" "${written#reference@}")") ||
        fail "$arm: the pipeline has no folder go/reference/ at ${written#reference@}"
      echo "$arm=reference@$tree$settings"
      ;;
    *) fail "$arm: \`$2\` is none of checkout, checkout:REVISION, artifact:NAME, image:REFERENCE, reference" ;;
  esac
}

reference_at() { # REVISION: the folder was at the root of the repository once
  git -C "$PIPELINE" rev-parse --verify --quiet "$1:go/reference" ||
    git -C "$PIPELINE" rev-parse --verify --quiet "$1:reference"
}

revision() { # FOLDER WRITTEN: a branch has no name of its own in a clone that checked out another one
  git -C "$1" rev-parse --verify --quiet --end-of-options "origin/$2^{commit}" || echo "$2"
}

build candidate "$CANDIDATE" "$HEAD"
build baseline "$BASELINE" "$BASE"
