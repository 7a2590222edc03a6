# Shared by build/run and build/test: Python, system packages, locked Python packages.
# Sourced, not run. Every step is skipped when its result already stands.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV="$ROOT/.venv"

say() { printf '%s\n' "$*" >&2; }

# die WHAT MEANING CURE
die() { say "" "$1" "$2" "$3"; exit 1; }

# A question that only a person at a terminal can answer with yes; NEXUS_TRAY_YES=1 answers for one.
agreed() {
    [ "${NEXUS_TRAY_YES:-}" = 1 ] && return 0
    [ -t 0 ] || return 1
    local answer
    read -r -p "$1 [Y/n] " answer
    case "$answer" in "" | [Yy]*) return 0 ;; *) return 1 ;; esac
}

# apt_packages PACKAGE...: installs the missing ones with Debian's or Ubuntu's package manager.
# As root (a container, CI) without a question; else only after a yes, through sudo.
apt_packages() {
    local missing=() package
    command -v dpkg-query >/dev/null || { say "Not a Debian or Ubuntu system; please see that these are installed: $*"; return 0; }
    for package in "$@"; do
        dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    local sudo=""
    if [ "$(id -u)" -ne 0 ]; then
        sudo="sudo"
        if ! agreed "Install with sudo apt-get: ${missing[*]}?"; then
            say "Not installed: ${missing[*]}. By hand: sudo apt-get install ${missing[*]}"
            return 1
        fi
    fi
    say "Installing ${missing[*]} ..."
    $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "${missing[@]}" >/dev/null || {
        say "The package manager could not install ${missing[*]} (see above)."
        return 1
    }
}

# commands NAME[:PACKAGE]...: sees that these commands exist, from packages where they do not.
commands() {
    local wanted packages=()
    for wanted in "$@"; do
        command -v "${wanted%%:*}" >/dev/null || packages+=("${wanted##*:}")
    done
    [ ${#packages[@]} -eq 0 ] || apt_packages "${packages[@]}"
}

# web_view: sees that the dashboard's window has a web view. It comes with the system's Python and
# serves ours only if both are of one version; without it the dashboard opens in the browser.
web_view() {
    local ask='import os, sys; from nexus_tray.system.web_view import WebView, find; sys.exit(not isinstance(find(os.environ), WebView))'
    local version='import sys; print(sys.version_info[:2])'
    "$VENV/bin/python" -P -c "$ask" && return 0
    [ "$(/usr/bin/python3 -I -c "$version" 2>/dev/null)" = "$("$VENV/bin/python" -I -c "$version")" ] || return 0
    apt_packages python3-gi gir1.2-webkit2-4.1
}

# The oldest Python that runs us is 3.11; the newest found is not better than the system's own.
find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
        if "$candidate" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

prepare_python() {
    PYTHON=$(find_python) || { apt_packages python3 python3-venv || true; PYTHON=$(find_python); } ||
        die "Python 3.11 or newer was not found." "Nexus Tray is written in it." \
            "Install it (Debian 12, Ubuntu 24.04 or newer: apt-get install python3 python3-venv) and run this again."
    "$PYTHON" -I -c 'import ensurepip, venv' 2>/dev/null || apt_packages python3-venv ||
        die "Python's venv module is missing." "The packages we need go into a folder of their own, not into your system." \
            "Install python3-venv and run this again."
}

# python_packages LOCKFILE: a virtual environment with exactly these versions, checked by hash.
python_packages() {
    local lock="$ROOT/build/$1" stamp="$VENV/.installed-$1" wanted
    wanted=$(sha256sum "$lock" "$ROOT/build/setup.sh" | sha256sum | cut -d' ' -f1)
    [ -x "$VENV/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return 0
    say "Installing Python packages ($1) ..."
    [ -x "$VENV/bin/python" ] || "$PYTHON" -I -m venv "$VENV"
    "$VENV/bin/python" -I -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock" ||
        die "The Python packages could not be installed." "Without them nothing runs." \
            "Check the network and run this again; by hand: $VENV/bin/pip install --require-hashes -r build/$1"
    # the program itself, importable from anywhere, straight from this folder
    "$VENV/bin/python" -I - "$ROOT" <<'PY'
import sys, sysconfig, pathlib
pathlib.Path(sysconfig.get_path("purelib"), "nexus_tray.pth").write_text(sys.argv[1] + "\n")
PY
    printf '#!/bin/sh\nexec "%s/bin/python" -P -m nexus_tray "$@"\n' "$VENV" >"$VENV/bin/nexus-tray"
    chmod +x "$VENV/bin/nexus-tray"
    printf '%s\n' "$wanted" >"$stamp"
}
