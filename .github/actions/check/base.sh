#!/usr/bin/env bash
# The results of the base branch's last check, as the output `folder`; an empty one where there are none, which is no
# failure. Environment: BASE, a folder that is there already; LABEL of this machine; GH_TOKEN.
set -euo pipefail

answer() {
  echo "folder=$1" >> "$GITHUB_OUTPUT"
  exit 0
}

[ -z "$BASE" ] || answer "$BASE"
[ -n "${GITHUB_BASE_REF:-}" ] || answer '' # no pull request: there is no base
folder="$RUNNER_TEMP/s2m-edge-base"
workflow="${GITHUB_WORKFLOW_REF%%@*}"
# Pushes alone: a fork's pull request may come from a branch of the same name.
runs="$(gh run list --repo "$GITHUB_REPOSITORY" --branch="$GITHUB_BASE_REF" --workflow="${workflow##*/}" --event=push \
  --status=completed --limit=20 --json databaseId --jq '.[].databaseId')" || runs=''
for run in $runs; do
  rm -rf "$folder"
  if gh run download "$run" --repo "$GITHUB_REPOSITORY" --name="s2m-edge-$LABEL" --dir="$folder" 2> /dev/null; then
    echo "compared with run $run"
    answer "$folder"
  fi
done
echo "::notice::the base branch has no report of $LABEL yet; nothing is compared"
answer ''
