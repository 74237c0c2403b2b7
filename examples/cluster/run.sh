#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Erlang (or Elixir) and Python work together, on this machine:  examples/cluster/run.sh [erlang|elixir]
# All listen on loopback, at ports of their own, with a cookie made for this once. PYTHON names another interpreter than python3.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
with=${1:-erlang}
export PYTHON=${PYTHON:-python3} PYTHONDONTWRITEBYTECODE=1 PYTHONUSERBASE=${PYTHONUSERBASE:-$HOME/.local}
[ ! -d ../../build/python ] || export PYTHONPATH=${PYTHONPATH:-$(cd ../../build/python && pwd)}

fail() {
    echo "run.sh: $1" >&2
    exit 1
}

case $with in
erlang) needs="erl erlc epmd" ;;
elixir) needs="elixir epmd" ;;
*) fail "there is an erlang and an elixir, but no '$with'" ;;
esac
for program in $needs; do
    command -v "$program" >/dev/null || fail "there is no $program (Debian: sudo apt-get install erlang-base elixir)"
done
"$PYTHON" -c "import mote" 2>/dev/null || fail "$PYTHON has no mote: \`make build\` first, or \`pip install .\`"

work=$(mktemp -d)
export PIDS=$work/pids # of the Python programs, which Erlang starts
: >"$PIDS"
mapper="" main=""

# Ends what is left, by its number, whatever has gone wrong. A Python program that finds its Erlang gone ends by itself.
finish() {
    local pid
    for pid in $main $mapper; do kill "$pid" 2>/dev/null; done
    while read -r pid; do
        for _ in {1..50}; do
            grep -qs worker.py "/proc/$pid/cmdline" || continue 2
            sleep 0.1
        done
        kill -9 "$pid"
    done <"$PIDS"
    wait
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# A home of its own, so Erlang and mote find one new cookie, and nobody's real one.
export HOME=$work ERL_EPMD_ADDRESS=127.0.0.1
unset MOTE_COOKIE_FILE
"$PYTHON" -m mote cookie >/dev/null || exit 1
ERL_EPMD_PORT=$("$PYTHON" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])') || exit 1
export ERL_EPMD_PORT
epmd -port "$ERL_EPMD_PORT" &
mapper=$!
until "$PYTHON" -m mote names >/dev/null 2>&1; do
    kill -0 "$mapper" 2>/dev/null || fail "epmd has ended"
done

options=(-start_epmd false -kernel inet_dist_use_interface "{127,0,0,1}" -kernel logger_level none)
if [ "$with" = erlang ]; then
    erlc -o "$work" cluster.erl || exit 1
    erl -noinput -name erl@127.0.0.1 "${options[@]}" -pa "$work" -run cluster main &
else
    ELIXIR_ERL_OPTIONS="${options[*]}" elixir --name elixir@127.0.0.1 cluster.exs &
fi
main=$!
wait "$main"
code=$?
main=""
trap - EXIT
finish
exit "$code"
