# Step `record` of training-runtime.yaml: what was trained, and from what, onto the remote.
set -eu
cd "$EARTHLOOM_HOME/trainjobs/${WORKSPACE:?}"
dvc commit --force "train@${STAGE:?}"
dvc push --run-cache "train@$STAGE"
