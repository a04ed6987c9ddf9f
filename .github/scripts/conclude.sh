#!/usr/bin/env bash
# Concludes the job that a branch may require: only answers that are known are green.
#
# DECIDED, MEASURED   how the two jobs before ended, as GitHub says it
# MEASURE, WHY        whether there was something to measure, and why not
# CODE, VERDICT       of the pipeline
# FAIL_ON             `regression`, `inconclusive` (that too), or `never`
set -euo pipefail

conclude() { # VERDICT SENTENCE CODE
  echo "verdict=$1" >> "$GITHUB_OUTPUT"
  printf '%s\n' "$2" | tee -a "$GITHUB_STEP_SUMMARY"
  exit "$3"
}

failed() { # SENTENCE CODE
  conclude failed "$1; the log of its job says why." "$([ "$FAIL_ON" = never ] && echo 0 || echo "$2")"
}

case $FAIL_ON in
  regression | inconclusive | never) ;;
  undecided) FAIL_ON=inconclusive ;; # its name in the first version
  *) conclude failed 'fail-on is none of regression, inconclusive, never.' 2 ;;
esac
case $DECIDED/$MEASURE in
  success/no) conclude skipped "Not measured: ${WHY//[$'\n\r']/ }." 0 ;;
  success/wait) conclude skipped "Not measured yet: ${WHY//[$'\n\r']/ }." 1 ;;
  success/yes) ;;
  *) failed 'Nobody could tell what to measure' 1 ;;
esac
case $CODE in
  0 | 3) ;;
  1 | 2 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 130) failed "The benchmark ended with exit code $CODE" "$CODE" ;;
  '') failed 'The benchmark did not come to an end' 1 ;;
  *) failed 'The benchmark ended with an exit code that it does not have' 1 ;;
esac
[ "$MEASURED" = success ] || failed 'The benchmark had an answer, and its job did not come to an end' 1
case $CODE/$VERDICT in
  3/regressed) ends=3 ;;
  0/inconclusive) ends=$([ "$FAIL_ON" = inconclusive ] && echo 4 || echo 0) ;;
  0/improved | 0/unchanged) ends=0 ;;
  *) failed 'The verdict of the benchmark is not one that belongs to its exit code' 1 ;;
esac
[ "$FAIL_ON" != never ] || ends=0
conclude "$VERDICT" "Performance: $VERDICT." "$ends"
