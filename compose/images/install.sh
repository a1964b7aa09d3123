#!/bin/sh
# The build stage of every image.
#   install.sh requirements MEMBER…   what the members need of requirements.lock, hashes checked, into /opt/penstock
#   install.sh members MEMBER…        the members themselves
# Options for locked.py come from LOCKED_OPTIONS. Nothing of pip or the build tools gets into /opt/penstock.
set -eu
home=/opt/penstock tools=/opt/tools
locked() { python3 locked.py requirements.lock "$@"; }
pip() { "$tools/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
# The lock is complete and names every package, so nothing is resolved: what it leaves out on purpose stays out.
install_locked() { pip --python "$1" install --require-hashes --no-deps --only-binary :all: --requirement "$2"; }

what=$1
shift
case $what in
requirements)
    if [ ! -d "$home" ]; then
        python3 -m venv "$tools"
        python3 -m venv --without-pip "$home"
        locked --also hatchling >/tmp/tools.txt
        install_locked "$tools/bin/python" /tmp/tools.txt
    fi
    # shellcheck disable=SC2086
    locked "$@" ${LOCKED_OPTIONS:-} >/tmp/requirements.txt
    install_locked "$home/bin/python" /tmp/requirements.txt
    ;;
members)
    for member in "$@"; do  # pip takes a bare word for the name of a package
        shift
        set -- "$@" "./$member"
    done
    pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /tmp/wheels "$@"
    pip --python "$home/bin/python" install --no-index --no-deps /tmp/wheels/*.whl
    cp healthcheck "$home/bin/healthcheck"
    # What volumes are mounted on: a new volume takes its owner from here.
    for folder in keyring secrets sim objects index archive audit; do
        install -d -m 700 -o 10001 -g 10001 "/var/lib/penstock/$folder"
    done
    chown 10001:10001 /var/lib/penstock
    ;;
esac
