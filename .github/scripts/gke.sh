#!/usr/bin/env bash
# The steps of a night on Google Cloud: gke.sh estimate|pack|push|create|describe|sweep
#
# PROJECT, ZONE, NODES, NETWORK, BUDGET_USD, RUN  of the cluster; NODES is the service account of its nodes
# CANDIDATE, BASELINE, BUILD, SUBJECT             specs of the builds, how they are built, and from which clone
# REGISTRY, IMAGES                                where images are pushed, and the file that lists them
# TOKEN                                           with which they are
# ENVIRONMENT                                     file that is written for `run --environment`
# DELETE                                          --delete, or empty
# PYTHON                                          with the packages of the pipeline
set -euo pipefail

cluster() {
  "$PYTHON" -P -m pipeline cluster "$@"
}

create() { # with --dry-run, or an empty word
  cluster create --project "$PROJECT" --location "$ZONE" --run "$RUN" --account "$NODES" \
    --network "$NETWORK" --expires-in 3h --budget-usd "$BUDGET_USD" ${1:+"$1"}
}

fenced() { # COMMAND…: its output as a block of Markdown, whether it fails or not
  local code=0
  echo '```'
  "$@" || code=$?
  echo '```'
  return "$code"
}

case $1 in
  estimate) fenced create --dry-run ;;
  create) create "" ;;
  pack)
    cd "$SUBJECT"
    "$PYTHON" -P -m pipeline pack "$CANDIDATE" "$BASELINE" --load-pods --registry "$REGISTRY" --build "$BUILD" > "$IMAGES"
    ;;
  push)
    skopeo login --username oauth2accesstoken --password-stdin "${REGISTRY%%/*}" <<< "$TOKEN"
    while read -r _ _ archive reference; do
      skopeo copy "docker-archive:$archive" "docker://$reference"
    done < "$IMAGES"
    ;;
  describe)
    cat > "$ENVIRONMENT" << TOML
[environment]
kind = "remote"
registry = "$REGISTRY"
node_selector = { "milo-perf/pool" = "server" }
tolerations = [{ key = "milo-perf/pool", operator = "Exists", effect = "NoSchedule" }]
storage_class = "premium-rwo"
server = { cpu = 4, memory_mib = 8192 }
manager = { cpu = 1, memory_mib = 2048 }
etcd = { cpu = 1, memory_mib = 4096 }
load_pods = 2
load = { resources = { cpu = 2, memory_mib = 8192 }, node_selector = { "milo-perf/pool" = "load" } }
expires_h = 3
TOML
    ;;
  sweep)
    # shellcheck disable=SC2086 # empty, or one word
    fenced cluster sweep --project "$PROJECT" --account "$NODES" $DELETE >> "$GITHUB_STEP_SUMMARY"
    ;;
  *)
    echo "gke.sh: no step \`$1\`" >&2
    exit 2
    ;;
esac
