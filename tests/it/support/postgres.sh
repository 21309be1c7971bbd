#!/bin/bash
# Runs one PostgreSQL for the tests of one checkout, in the background, until no
# test process needs it. `db.rs` starts this script and says where to keep state:
#
#   users      every test process holds a shared lock on it as long as it lives
#   start      held by whoever starts or stops the server
#   watchdog   held by this script; free means: nobody looks after a server
#   cluster    the directory of the server, to clean up after a crash
#   url        how to reach it; present when it is ready
#
# Locks end with their process however it ends, so nothing is left behind by
# Ctrl-C, a failed test or `kill -9`.
set -euo pipefail
state=$1
readonly state

exec 8>"$state/watchdog"
flock --nonblock 8

# PostgreSQL refuses to be root. An array, not a function, so that `$!` is the
# server itself.
unprivileged=(env)
[[ $(id --user) != 0 ]] || unprivileged=(setpriv --reuid=postgres --regid=postgres --clear-groups)

# A server that lost its watchdog is ended and its directory removed.
remove_leftovers() {
    local old pid
    rm -f "$state/url"
    old=$(cat "$state/cluster" 2>/dev/null || true)
    [[ $old == */provisiond-test.* && -d $old ]] || return 0
    pid=$(head -n 1 "$old/postmaster.pid" 2>/dev/null || true)
    if [[ -n $pid && $(readlink "/proc/$pid/cwd" || true) == "$old" ]]; then
        kill -QUIT "$pid" || true
        while [[ -d /proc/$pid/task ]]; do sleep 0.1; done
    fi
    rm -rf "$old"
}

find_binaries() {
    bin=${PROVISIOND_PG_BIN:-$(printf '%s\n' /usr/lib/postgresql/*/bin | sort --version-sort | tail -n 1)}
    [[ -x $bin/initdb ]] || bin=$(dirname "$(command -v initdb || true)")
    if [[ ! -x $bin/postgres ]]; then
        echo "no PostgreSQL server on this machine: apt-get install postgresql" >&2
        exit 1
    fi
}

make_cluster() {
    cluster=$(mktemp --directory --tmpdir provisiond-test.XXXXXXXX)
    echo "$cluster" >"$state/cluster"
    [[ $(id --user) != 0 ]] || chown postgres: "$cluster"
    "${unprivileged[@]}" "$bin/initdb" --pgdata="$cluster" --username=provisiond --auth=trust \
        --encoding=UTF8 --locale=C.UTF-8 --no-sync --no-instructions 8>&-
}

# Nothing here survives a crash of the machine, so nothing is forced to disk.
start_server() {
    "${unprivileged[@]}" "$bin/postgres" -D "$cluster" -k "$cluster" \
        -c listen_addresses= -c fsync=off -c full_page_writes=off -c wal_level=minimal \
        -c max_wal_senders=0 -c max_connections=400 -c shared_buffers=128MB -c jit=off \
        -c lc_messages=C -c log_min_messages=fatal -c autovacuum_naptime=10s 8>&- &
    server=$!
    until [[ $(sed -n 8p "$cluster/postmaster.pid" 2>/dev/null) == ready* ]]; do
        kill -0 "$server"
        sleep 0.02
    done
}

stop_server() {
    rm -f "$state/url"
    kill -INT "$server" 2>/dev/null || true
    wait "$server" || true
    rm -rf "$cluster"
}

cd /
remove_leftovers
find_binaries
make_cluster
start_server
trap stop_server EXIT
echo "postgres:///postgres?host=$cluster&user=provisiond" >"$state/url.new"
mv "$state/url.new" "$state/url"

# With a process per test there are moments without any: linger a little.
while kill -0 "$server" 2>/dev/null; do
    flock --exclusive --timeout 5 "$state/users" true || continue
    sleep 3
    exec 9>"$state/start"
    flock 9
    if flock --exclusive --nonblock "$state/users" true; then
        stop_server
        trap - EXIT
        exit 0
    fi
    exec 9>&-
done
