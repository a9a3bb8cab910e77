#!/bin/sh
# report.md as a comment on the merge or pull request; where there is none, in the job's summary or log.
set -eu
if test -n "${GITHUB_STEP_SUMMARY:-}"; then
  cat report.md >>"$GITHUB_STEP_SUMMARY"
  if test -n "${PULL_REQUEST:-}"; then
    gh pr comment "$PULL_REQUEST" --body-file report.md --edit-last --create-if-none
  fi
elif test -n "${CI_MERGE_REQUEST_IID:-}" && test -n "${REPORT_TOKEN:-}"; then
  curl --fail --silent --show-error --output /dev/null \
    --header "PRIVATE-TOKEN: $REPORT_TOKEN" --data-urlencode body@report.md \
    "$CI_API_V4_URL/projects/$CI_PROJECT_ID/merge_requests/$CI_MERGE_REQUEST_IID/notes"
else
  cat report.md
fi
