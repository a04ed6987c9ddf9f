#!/usr/bin/env bash
# Soaks one build and writes the answer to the job summary.  A limit that broke, or a build that died, fails the step; a
# leak is a warning.
#
# CANDIDATE  spec of the build; `source:` starts in SUBJECT
# BUILD      command that builds a source
# TIME       duration, such as 1h
# LIMITS     limits, separated by spaces; may be empty
# SUBJECT    clone that is built from
# OUT        folder of the soak
# PYTHON     with the packages of the pipeline
set -euo pipefail

arguments=(--candidate "$CANDIDATE" --for "$TIME" --out "$OUT")
[[ "$CANDIDATE" != source:* ]] || arguments+=(--build "$BUILD")
read -ra upper <<< "$LIMITS"
for limit in "${upper[@]}"; do arguments+=(--limit "$limit"); done

cd "$SUBJECT"
code=0
"$PYTHON" -P -m pipeline soak "${arguments[@]}" || code=$?
if [ -f "$OUT/soak.txt" ]; then
  { echo '## Soak' && echo && sed 's/^/    /' "$OUT/soak.txt"; } >> "$GITHUB_STEP_SUMMARY" # indented: a block of code
  case $(head -n 1 "$OUT/soak.txt") in LEAK*) echo '::warning::the build leaks; see the summary of this job' ;; esac
fi
exit "$code"
