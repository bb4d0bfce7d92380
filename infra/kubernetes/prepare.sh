# Step `prepare` of training-runtime.yaml: the workspace of a run, with what the stage needs.
set -eu
: "${REPOSITORY:?}" "${REVISION:?}" "${STAGE:?}" "${WORKSPACE:?}" "${EARTHLOOM_REMOTE:?}" "${EARTHLOOM_REPOSITORIES:?}"
refuse() {
    echo "error: $1" >&2
    exit 2
}
case "$REVISION" in *[!0-9a-f]*) refuse "REVISION $REVISION is no commit of 40 hexadecimal digits" ;; esac
[ "${#REVISION}" = 40 ] || refuse "REVISION $REVISION is no commit of 40 hexadecimal digits"
case "$STAGE" in [123]) ;; *) refuse "STAGE $STAGE is not 1, 2 or 3" ;; esac
case "$WORKSPACE" in *[!a-z0-9-]*) refuse "WORKSPACE $WORKSPACE has more than small letters, digits and -" ;; esac
case "$REPOSITORY" in *,*) refuse "REPOSITORY $REPOSITORY has a comma" ;; esac
case ",$EARTHLOOM_REPOSITORIES," in *",$REPOSITORY,"*) ;; *) refuse "$REPOSITORY is not among EARTHLOOM_REPOSITORIES" ;; esac
workspace="$EARTHLOOM_HOME/trainjobs/$WORKSPACE"
[ -d "$workspace/.git" ] || git clone --quiet --no-checkout -- "$REPOSITORY" "$workspace"
cd "$workspace"
git checkout --quiet --detach "$REVISION"
# Only names and places are written here; the key of the store stays in the environment.
dvc remote add --local --default --force earthloom "$EARTHLOOM_REMOTE"
[ -z "${EARTHLOOM_REMOTE_ENDPOINT:-}" ] || dvc remote modify --local earthloom endpointurl "$EARTHLOOM_REMOTE_ENDPOINT"
set -- code chips stats tokenizer "mixture@$STAGE"
[ "$STAGE" = 1 ] || set -- "$@" "train@$((STAGE - 1))"
dvc pull "$@"
