#!/usr/bin/env bash
# Tells GitHub what was measured, in three steps: report.sh start|page|publish
#
# SUITE, KEY, COMMENT, PRODUCT, PAIRS, DRIVER, FAIL_ON, IGNORE, FORK_LABEL, BUILD, ACKNOWLEDGED  inputs of report.yml
# RUN_URL           page of the workflow run that measured
# PAGE_URL          where a browser opens the page of `page`; empty where it could not be uploaded
# RUNNER_TEMP       has untrusted/, the downloaded artifact, if there is one; gets page/NAME.html
# GITHUB_WORKSPACE  has trusted/, a clone of the default branch, if a file of it is asked for
# PYTHON            with the packages of the pipeline
set -euo pipefail

untrusted=$RUNNER_TEMP/untrusted trusted=$GITHUB_WORKSPACE/trusted
page=$RUNNER_TEMP/page/milo-perf-${KEY//\//-}.html # its name is that of the artifact

publish() { # FOLDER ARGUMENT…
  "$PYTHON" -P -m pipeline publish "$@"
}

found() { # the artifact as it came, or the folder where there is none
  local zip
  mkdir -p "$untrusted"
  zip=$(find "$untrusted" -maxdepth 1 -type f ! -name '*.json' ! -name '*.txt' -print -quit)
  echo "${zip:-$untrusted}"
}

decided=(--key "$KEY" --suite "$SUITE" --product "$PRODUCT" --pairs "$PAIRS" --fail-on "$FAIL_ON" --ignore "$IGNORE")
decided+=(--fork-label "$FORK_LABEL" --build "$BUILD")
[ -z "$DRIVER" ] || decided+=(--driver "$DRIVER")
[ -z "$ACKNOWLEDGED" ] || decided+=(--acknowledged "$ACKNOWLEDGED")

artifact=$(found)
[ ! -d "$trusted" ] || cd "$trusted" # where the path of a suite starts
case $1 in
  start)
    publish "$artifact" --key "$KEY" --to check --start
    ;;
  page)
    publish "$artifact" "${decided[@]}" --to page --page "$page"
    ;;
  publish)
    publish "$artifact" "${decided[@]}" --to check --to comment --to summary --comment "$COMMENT" \
      --report-url "$PAGE_URL" --artifact-url "$RUN_URL#artifacts"
    ;;
  *)
    echo "report.sh: no step \`$1\`" >&2
    exit 2
    ;;
esac
