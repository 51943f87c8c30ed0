# Sourced by the tests of kvctl, which get the paths of kvctl and kvctl_hold and whether there is SQLite.

kvctl=$1 hold=$2 has_sqlite=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../support/checks.bash"

# Every kind of store that this kvctl knows, with a name that tells it for a new one.
kinds=(json journal)
[ "$has_sqlite" = 0 ] || kinds+=(sqlite)

# A JSON object of N entries, "0": "value 0" and so on.
object() { # N
  awk -v n="$1" 'BEGIN {
    printf "{"
    for (i = 0; i < n; ++i) printf "%s\n\"%d\": \"value %d\"", i ? "," : "", i, i
    print "\n}"
  }'
}

# Holds a store until `release`.
hold() { # KIND PATH [N]
  coproc HOLDER { exec "$hold" "$@"; }
  holder=$HOLDER_PID
  local line=
  read -r -t 20 -u "${HOLDER[0]}" line || true
  [ "$line" = ready ] || fail "hold $*" "the store could not be opened"
}
release() {
  local descriptor=${HOLDER[1]}
  exec {descriptor}>&-
  wait "$holder" || true
}
