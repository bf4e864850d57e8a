#!/usr/bin/env bash
# Deploys by the kovra command and hands its verdict to the steps that follow. Its exit code is the command's.
set -euo pipefail

words=(deploy "$APP" --environment "$ENVIRONMENT" --timeout "$TIMEOUT" --message "$MESSAGE" --output json)
if [ -n "${IMAGE:-}" ]; then
    words+=(--image "$IMAGE")
fi

verdict="$(mktemp)"
trap 'rm -f -- "$verdict"' EXIT
code=0
"${KOVRA_COMMAND:-kovra}" "${words[@]}" > "$verdict" || code=$?

python3 - "$verdict" >> "$GITHUB_OUTPUT" <<'PYTHON'
import json
import sys

try:
    found = json.load(open(sys.argv[1]))
except ValueError:  # refused before there was a deployment; the command has said why
    found = {}
release = found.get("release") or {}
for name, value in (("deployment", found.get("id")), ("outcome", found.get("outcome")), ("release", release.get("number"))):
    print(f"{name}={'' if value is None else value}")
PYTHON
exit "$code"
