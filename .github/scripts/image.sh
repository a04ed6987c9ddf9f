#!/usr/bin/env bash
# Tries or pushes the image of a release: image.sh try|push ARCHIVE
#
# push prints name and digest as step outputs:
# TOKEN, USER        of the registry
# REGISTRY           such as ghcr.io
# GITHUB_REPOSITORY  whose name the image gets
# GITHUB_REF_NAME    tag of the release, vX.Y.Z
set -euo pipefail

try() { # ARCHIVE: every program starts in a container of this machine's architecture, and ends with 0
  skopeo copy --quiet "oci-archive:$1" docker-daemon:milo-perf:try
  docker run --rm milo-perf:try /etcd --version
  docker run --rm milo-perf:try /generator version
  docker run --rm milo-perf:try /reference --help > /dev/null
  docker run --rm milo-perf:try /bin/k6 || [ $? = 2 ] # the agent, without its settings
}

push() { # ARCHIVE
  local name=$REGISTRY/${GITHUB_REPOSITORY,,} version=${GITHUB_REF_NAME#v} digest
  local login=$HOME/.docker/config.json # where actions/attest looks, too
  mkdir -p "$HOME/.docker"
  skopeo login --authfile "$login" --username "$USER" --password-stdin "$REGISTRY" <<< "$TOKEN" >&2
  digest=$(mktemp)
  skopeo copy --quiet --all --authfile "$login" --digestfile "$digest" "oci-archive:$1" "docker://$name:$version" >&2
  echo "name=$name"
  echo "digest=$(cat "$digest")"
}

case $1 in
  try) try "$2" ;;
  push) push "$2" ;;
  *)
    echo "image.sh: no step \`$1\`" >&2
    exit 2
    ;;
esac
