#!/bin/sh
# Make the virtual environment .venv ready for the requirements file that is given; do nothing when it is.
# Plain sh, so that it can tell of a Python that is missing or too old.
set -eu
requirements=$1
python_needed=3.11

fail() {
    echo "$1" >&2
    exit 1
}

# --- a Python that is new enough
python=
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    found=$(${PYTHON:-python3} --version 2>&1) || found="none"
    fail "Python $python_needed or newer is needed; found: $found. With another one: make PYTHON=/path/to/python3"
fi

# --- is it ready? The mark holds what was installed, by which Python; a broken Python is noticed, too
run_needs=$("$python" --version; cat requirements.txt)
dev_needs=$(echo "$run_needs"; cat requirements-dev.txt)
case $requirements in
    requirements.txt) wanted=$run_needs room_needed=250 ;;
    *) wanted=$dev_needs room_needed=700 ;;
esac
mark=.venv/installed-$requirements
if .venv/bin/python -c '' 2>/dev/null && [ "$(cat "$mark" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

# --- no: make it, or bring it up to date
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "Python's module venv is missing: install it (Debian, Ubuntu: apt install python3-venv)."
room=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
[ "$room" -ge "$room_needed" ] ||
    fail "The disk is full: $room MB are free in $PWD, and $room_needed MB are needed."

rm -f .venv/installed-*
if ! .venv/bin/python -c '' 2>/dev/null || [ "$(.venv/bin/python --version)" != "$("$python" --version)" ]; then
    rm -rf .venv
    echo "Making .venv with $("$python" --version) ..."
    "$python" -m venv .venv || fail "Python's venv could not make .venv: its reason is above."
fi
echo "Installing $requirements (once; about a minute) ..."
log=.venv/install.log
if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input -r "$requirements" >"$log" 2>&1
then
    tail -n 5 "$log" >&2
    fail "pip could not install $requirements: its last lines are above, all of them in $log."
fi
echo "$run_needs" >.venv/installed-requirements.txt  # what tests includes what runs
echo "$wanted" >"$mark"
