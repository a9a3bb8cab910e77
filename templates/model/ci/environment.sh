# Puts dvc, atalaia and Python on PATH; to be sourced: . ci/environment.sh
# Those that are there, as in an image of your own; else Atalaia at the revision that the template was taken from
# (.copier-answers.yml), with the packages of its own lock: what trains here is what trains in production.
if ! command -v atalaia >/dev/null; then
  if ! test -d .atalaia-source/.git; then
    git clone --quiet "$ATALAIA_REPOSITORY" .atalaia-source
  fi
  git -C .atalaia-source checkout --quiet "$(sed -n 's/^_commit: //p' .copier-answers.yml | tr -d "'")"
  make -C .atalaia-source setup
  PATH="$PWD/.atalaia-source/.venv/bin:$PATH"
  export PATH
  if grep -q '^[^#]' requirements.txt; then
    .atalaia-source/.uv/bin/uv pip install --quiet --python .atalaia-source/.venv -r requirements.txt
  fi
  if test -n "${GITHUB_PATH:-}"; then # steps that follow
    echo "$PWD/.atalaia-source/.venv/bin" >>"$GITHUB_PATH"
  fi
fi
