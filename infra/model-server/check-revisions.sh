#!/bin/sh
# Refuses a build whose weights are not pinned.
set -eu
name=XCOMPOSER_REVISION
for revision in "$1" "$2"; do
    if ! printf '%s' "$revision" | grep -Eqx '[0-9a-f]{40}'; then
        echo "error: the build argument $name is '$revision', but must be a commit of 40 hexadecimal digits:" >&2
        echo "look it up under 'Files and versions' of the repository on the hub, and read what it runs" >&2
        exit 1
    fi
    name=CLIP_REVISION
done
