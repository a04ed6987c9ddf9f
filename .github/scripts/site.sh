#!/usr/bin/env bash
# The steps of the site: site.sh check|build
#
# GITHUB_TOKEN, GITHUB_API_URL, GITHUB_REPOSITORY  of `check`, which asks GitHub whether Pages is enabled
# BRANCH, REMOTE   branch of the history, and its repository
# SOURCE           clone of Milo with its tags
# ACKNOWLEDGED     file of change points that are known; need not be there
# OUT              folder of the site
# PYTHON           with the packages of the pipeline
set -euo pipefail

fail() { # SENTENCE WHAT-TO-DO
  echo "::error title=No site::$1. $2" >&2
  exit 1
}

check() {
  local answer status
  local enable="Settings › Pages › Build and deployment: choose GitHub Actions, then run this workflow again"
  answer=$(mktemp)
  # The token is read from standard input: arguments of a program can be seen by others.
  status=$(printf 'header = "Authorization: Bearer %s"\n' "$GITHUB_TOKEN" |
    curl --config - --silent --show-error --max-time 60 --retry 3 --header 'Accept: application/vnd.github+json' \
      --output "$answer" --write-out '%{http_code}' "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/pages") || status=none
  case $status in
    200)
      grep -q '"build_type": *"workflow"' "$answer" ||
        fail "GitHub Pages of $GITHUB_REPOSITORY is built from a branch" "$enable"
      ;;
    404)
      fail "GitHub Pages is not enabled in $GITHUB_REPOSITORY" \
        "$enable; if no site is wanted: gh workflow disable site.yml"
      ;;
    401 | 403) fail "The token may not read the settings of Pages ($status)" 'The job needs the permission pages: read' ;;
    *) fail "GitHub does not say whether Pages is enabled ($status)" 'Run this workflow again later' ;;
  esac
}

build() {
  local known=()
  [ ! -f "$ACKNOWLEDGED" ] || known=(--acknowledged "$ACKNOWLEDGED")
  "$PYTHON" -P -m pipeline --error-file "$OUT.error" site --history "$BRANCH" --remote "$REMOTE" --source "$SOURCE" \
    --out "$OUT" "${known[@]}" | tee -a "$GITHUB_STEP_SUMMARY" || {
    local code=$?
    [ ! -f "$OUT.error" ] || echo "::error title=No site::$(tr '\n' ' ' < "$OUT.error")" >&2
    return "$code"
  }
}

case $1 in
  check | build) "$1" ;;
  *)
    echo "site.sh: no step \`$1\`" >&2
    exit 2
    ;;
esac
