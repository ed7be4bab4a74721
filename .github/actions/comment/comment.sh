#!/usr/bin/env bash
# One comment on a pull request with the tables of all machines, written again at every run; and the job's summary.
# Environment: RESULTS, a folder with a folder of results for each machine; NAME of the comment; PULL_REQUEST, its
# number, empty where there is none; GH_TOKEN.
set -euo pipefail

case "$NAME" in '' | *[!A-Za-z0-9._-]*) echo "error: the comment's name takes letters, digits, dots, dashes" >&2 && exit 2 ;; esac
marker="<!-- s2m-edge $NAME -->"
body="$(mktemp)"
trap 'rm -f "$body"' EXIT
{
  echo "$marker"
  found=''
  for summary in "$RESULTS"/summary.md "$RESULTS"/*/summary.md; do
    [ -f "$summary" ] || continue
    found=yes
    cat "$summary"
    echo
  done
  [ -n "$found" ] || echo "s2m-edge check gave no results: it could not begin. The jobs' logs say why."
  echo "Pages, JUnit XML and bundles: [artifacts of this run]($GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID)."
} > "$body"
cat "$body" >> "$GITHUB_STEP_SUMMARY"
[ -n "$PULL_REQUEST" ] || exit 0

# GitHub takes 65 536 letters, and counts the marker's among them.
if [ "$(wc -c < "$body")" -gt 60000 ]; then
  head -c 60000 "$body" | iconv -c -f UTF-8 -t UTF-8 > "$body.cut" && mv "$body.cut" "$body"
  printf '\n\n...the rest is in the summary of the job.\n' >> "$body"
fi
comments="repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments"
# Our own alone: a comment by somebody else that begins with the marker stays theirs.
query=".[] | select(.user.type == \"Bot\") | select(.body | startswith(\"$marker\")) | .id"
if ids="$(gh api --paginate "$comments?per_page=100" --jq "$query")" && id="$(printf '%s\n' "$ids" | sed -n 1p)"; then
  if [ -n "$id" ]; then
    gh api --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$id" --field "body=@$body" > /dev/null && exit 0
  else
    gh api --method POST "$comments" --field "body=@$body" > /dev/null && exit 0
  fi
fi
echo "::notice::the pull request cannot be commented on with this token (a fork's may only read); the table is in the summary of the job"
