#!/usr/bin/env bash
# Searches the commit behind a red night, or else behind the newest step of the history.  It says which, and a search
# without an answer is no failure: the issue of the night is opened all the same.
#
# NIGHT         folder with results.json
# VERDICT       of the night
# SUITE, PRODUCT  of the results
# SUBJECT       clone of what was measured, with its history
# BUILD         command that builds a commit
# BUDGET        time of the search, such as 60m
# HISTORY       file on the branch, such as nightly.jsonl; what was searched already is in nightly/searches beside it
# BRANCH, REMOTE  where the file is
# ACKNOWLEDGED  file of steps that are known; need not be there
# OUT           folder of the search
# PYTHON        with the packages of the pipeline
set -euo pipefail

finish() { # SENTENCE
  echo "$1" >&2
  exit 0
}

search() { # ARGUMENTS
  local code=0
  "$PYTHON" -P -m pipeline bisect "$SUBJECT" "$@" --suite "$SUITE" --build "$BUILD" --budget "$BUDGET" --out "$OUT" || code=$?
  case $code in
    0 | 4) finish "bisect ended with $code" ;;
    *) finish "::warning::the search for the commit failed with exit code $code" ;;
  esac
}

[ -f "$NIGHT/results.json" ] || finish 'there is no night to explain'

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git init --quiet "$copy/git"
has_history=yes
git -C "$copy/git" fetch --quiet --depth 1 "$REMOTE" "refs/heads/$BRANCH" || has_history=
earlier=()
if [ -n "$has_history" ] && git -C "$copy/git" archive FETCH_HEAD "${HISTORY%.jsonl}/searches" > "$copy/searches.tar" 2> "$copy/archive.log"; then
  tar -x --file "$copy/searches.tar" --directory "$copy" --strip-components 1
  earlier=(--known "$copy/searches")
fi

[ "$VERDICT" != regressed ] || search --from "$NIGHT" "${earlier[@]}"

if [ -z "$has_history" ] || ! git -C "$copy/git" show "FETCH_HEAD:$HISTORY" > "$copy/nights.jsonl"; then
  finish 'there is no history yet'
fi
known=()
[ ! -f "$ACKNOWLEDGED" ] || known=(--acknowledged "$ACKNOWLEDGED")
code=0
"$PYTHON" -P -m pipeline history "$copy/nights.jsonl" --append "$NIGHT" --suite "$SUITE" --product "$PRODUCT" "${known[@]}" --alarm \
  > "$copy/steps.txt" || code=$?
case $code in
  0) finish 'nothing is wrong' ;;
  3) search --from-history "$copy/nights.jsonl" "${known[@]}" "${earlier[@]}" ;;
  *) finish "::warning::the history cannot be judged: exit code $code" ;;
esac
