#!/usr/bin/env bash
# Adds what was measured to a history on a branch, looks for steps, and opens, updates or closes the one issue.
#
# NIGHT         folder with results.json, or with error.txt where there are none; may be missing
# SEARCH        folder with the bisect.json of a search for the commit; unset or missing for none
# KEY, SUITE    of the issue, and of the results
# PRODUCT       that was to be measured; milo unless set
# PAIRS         that were asked for; unset for as many as the answer needs
# HISTORY       file on the branch, such as nightly.jsonl
# BRANCH, REMOTE  where the file is
# FRESH         hours: nothing was measured, and only a silence that long is said; otherwise empty
# ACKNOWLEDGED  file of steps and regressions that are known; need not be there
# PYTHON        with the packages of the pipeline
set -euo pipefail

mkdir -p "$NIGHT"
rm -f "$NIGHT/steps.json" "$NIGHT/bisect.json" # not for the night itself to write
searched=()
if [ -f "${SEARCH:-}/bisect.json" ]; then
  cp "$SEARCH/bisect.json" "$NIGHT/bisect.json"
  searched=(--keep-search "$NIGHT")
fi
measured=(--suite "$SUITE" --product "${PRODUCT:-milo}")
known=()
[ ! -f "$ACKNOWLEDGED" ] || known=(--acknowledged "$ACKNOWLEDGED")
history() {
  local code=0
  "$PYTHON" -P -m pipeline --error-file "$NIGHT.error" history "$HISTORY" --branch "$BRANCH" --remote "$REMOTE" "${known[@]}" "$@" \
    2> "$NIGHT.log" || code=$?
  cat "$NIGHT.log" >&2
  return "$code"
}
said() { # why there is no night to judge takes the place of its results
  rm -f "$NIGHT/results.json" "$NIGHT/steps.json"
  mv "$NIGHT.error" "$NIGHT/error.txt" || tail -n 20 "$NIGHT.log" > "$NIGHT/error.txt" # a crash has its traceback only
}

if [ -n "$FRESH" ]; then
  ! history --fresh "$FRESH" || exit 0
  said
elif [ -f "$NIGHT/results.json" ]; then
  history --append "$NIGHT" --keep-results "${searched[@]}" "${measured[@]}" --json > "$NIGHT/steps.json" || said
fi
"$PYTHON" -P -m pipeline publish "$NIGHT" --to summary --to issue --key "$KEY" \
  "${measured[@]}" --pairs "${PAIRS:-auto}" "${known[@]}"
