#!/usr/bin/env bash
# One check of a network, on any CI or by hand; docs/ci.md has examples. Works with the bash 3.2 of macOS.
#
#   check.sh [--config FILE] [--targets NAME,NAME] [--out FOLDER] [--label NAME] [--record DEVICE]
#            [--base FOLDER] [--base-ref REF] [--venv FOLDER]
#
#   --base FOLDER    results of the base branch's check, kept from its last run; a folder that is not there is no failure
#   --base-ref REF   where there is no such folder: check out this commit beside, and check it first
#   --venv FOLDER    install this copy of s2m-edge there with the extras of --targets; else s2m-edge is on the PATH
#
# The exit code is that of s2m-edge check. Where GITHUB_STEP_SUMMARY names a file, the table goes there too.
set -euo pipefail

refuse() {
  echo "error: $1" >&2
  exit 2
}

config=s2m-edge-check.yaml targets='' out=check label='' record='' base='' base_ref='' venv=''
while [ $# -gt 0 ]; do
  case "$1" in
    --config | --targets | --out | --label | --record | --base | --base-ref | --venv)
      [ $# -ge 2 ] || refuse "$1 needs a value"
      name="${1#--}"
      printf -v "${name//-/_}" '%s' "$2"
      shift 2
      ;;
    -h | --help)
      sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *) refuse "unknown option $1; --help lists them" ;;
  esac
done
case "$targets" in *[!a-z0-9,]*) refuse "--targets takes names with commas between them" ;; esac
case "$base_ref" in -*) refuse "--base-ref takes a branch, a tag or a commit" ;; esac

if [ -n "$venv" ]; then
  [ -n "$targets" ] || refuse "--venv needs --targets: their packages are installed"
  toolkit="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
  [ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${toolkit}[check,$targets]"
  PATH="$(cd "$venv/bin" && pwd):$PATH"
fi

# Of a check both sides share all words but these.
common=("$config")
[ -z "$targets" ] || common+=(--target "$targets")
[ -z "$label" ] || common+=(--label "$label")

beside=''
trap 'if [ -n "$beside" ]; then git worktree remove --force "$beside/tree" 2> /dev/null || true; rm -rf "$beside"; fi' EXIT

if [ ! -e "${base:-/nowhere}" ] && [ -n "$base_ref" ]; then
  beside="$(mktemp -d)"
  place="$beside/tree/$(git rev-parse --show-prefix)"
  if ! git worktree add --quiet --detach "$beside/tree" "$base_ref"; then
    echo "note: $base_ref cannot be checked out; nothing is compared"
  elif [ ! -f "$place/$config" ]; then
    echo "note: $base_ref has no $config; nothing is compared"
  else
    echo "== $base_ref"
    # What fails there has a report all the same; without one, nothing is compared.
    (cd "$place" && s2m-edge check "${common[@]}" --out "$beside/results") || true
    base="$beside/results"
  fi
fi

words=("${common[@]}" --out "$out")
[ -z "$base" ] || words+=(--base "$base")
[ -z "$record" ] || words+=(--record "$record")
echo "== check"
code=0
s2m-edge check "${words[@]}" || code=$?
# Another code: nothing was judged, and what lies there is an earlier run's.
if [ "$code" -le 1 ] && [ -f "$out/summary.md" ] && [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
  cat "$out/summary.md" >> "$GITHUB_STEP_SUMMARY"
fi
exit "$code"
