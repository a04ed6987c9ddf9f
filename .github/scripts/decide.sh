#!/usr/bin/env bash
# Prints whether a pull request is to be measured, why not, and the commits it lies between, as step outputs.
#
# SUBJECT     a clone at the head of the pull request, with its history
# BASE        the commit of the base branch; empty for other events, which are always measured
# IGNORE      git patterns, one a line, of files that cannot change how fast anything is
# IS_FORK     `true` for a pull request from a fork
# FORK_LABEL  label that such a one needs; empty for none
# LABEL       the label that this event has just put on it
# NOTES       folder for the note that is reported in place of results
set -euo pipefail

answer() { # ANSWER NOTE WHY; an output is one line, whatever a label holds
  printf 'measure=%s\nwhy=%s\n' "$1" "${3//[$'\n\r']/ }"
  [ "$1" = yes ] || { mkdir -p "$NOTES" && printf '%s\n' "$3" > "$NOTES/$2.txt"; }
  exit
}

head=$(git -C "$SUBJECT" rev-parse HEAD)
printf 'head=%s\n' "$head"
[ -n "$BASE" ] || answer yes '' ''
base=$(git -C "$SUBJECT" merge-base "$BASE" "$head")
printf 'base=%s\n' "$base"

pathspecs=(.)
while IFS= read -r pattern; do
  [ -z "$pattern" ] || pathspecs+=(":(top,glob,exclude)$pattern")
done <<< "$IGNORE"
# Renames as what they are, a deletion and an addition: a file moved out of docs/ counts.
changed=$(git -C "$SUBJECT" diff --name-only --no-renames "$base" "$head" -- "${pathspecs[@]}")
[ -n "$changed" ] || answer no skipped 'only ignored files were changed'

# Of a fork one commit is measured for each time that somebody with write access puts the label on it.
if [ "$IS_FORK" = true ] && [ -n "$FORK_LABEL" ] && [ "$LABEL" != "$FORK_LABEL" ]; then
  answer wait waiting "a maintainer must review this push from a fork, and add the label $FORK_LABEL (again, if it is there)"
fi
answer yes '' ''
