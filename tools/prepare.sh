# Sourced by ../run, ../test and lock: finds Python, makes .venv, installs a lock file into it when it has changed.
# shellcheck shell=sh

# say ENGLISH RUSSIAN
say() {
    case "${LC_ALL:-${LC_MESSAGES:-${LANG:-}}}" in
        ru*) printf '%s\n' "$2" >&2 ;;
        *) printf '%s\n' "$1" >&2 ;;
    esac
}

# has PYTHON CODE: this Python is new enough and the code runs in it
has() { "$1" -c "import sys; assert sys.version_info >= (3, 11); $2" >/dev/null 2>&1; }

find_python() {
    too_bare=
    for python in python3.14 python3.13 python3.12 python3.11 python3; do
        if has "$python" 'import ensurepip, venv'; then return; fi
        if has "$python" ''; then too_bare=${too_bare:-$python}; fi
    done
    if [ -n "$too_bare" ]; then
        say "$too_bare cannot make a virtual environment. Install it: sudo apt install $too_bare-venv" \
            "$too_bare не может создать виртуальное окружение. Установите: sudo apt install $too_bare-venv"
    else
        say 'Python 3.11 or newer is needed. Install it: sudo apt install python3 python3-venv' \
            'Нужен Python 3.11 или новее. Установите: sudo apt install python3 python3-venv'
    fi
    exit 1
}

# make_venv: leaves a .venv that works; one that is half made, moved here or of a removed Python is made anew
make_venv() {
    if has .venv/bin/python 'import pip'; then return; fi
    find_python
    say "Making .venv with $python" "Создаю .venv: $python"
    "$python" -m venv --clear .venv && return
    say "That failed. Try: sudo apt install python3-venv, or delete the folder .venv" \
        "Не получилось. Попробуйте: sudo apt install python3-venv, или удалите папку .venv"
    exit 1
}

# prepare LOCK_FILE
prepare() {
    stamp=.venv/installed-$1
    sum=$(cksum <"$1")
    if [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ] && has .venv/bin/python ''; then return; fi
    make_venv
    [ -w "${HOME:-/nonexistent}" ] || export PIP_NO_CACHE_DIR=1
    say "Making sure of the dependencies of $1, once: up to half a minute" \
        "Проверяю и ставлю зависимости из $1, один раз: до полуминуты"
    if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r "$1"; then
        say 'pip failed: see above. Is the package index reachable?' 'pip не справился: см. выше. Доступен ли индекс пакетов?'
        exit 1
    fi
    printf '%s\n' "$sum" >"$stamp"
}
