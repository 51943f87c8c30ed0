# Sourced by the tests of kvctl, which get the paths of kvctl and kvctl_hold and whether there is SQLite. Each
# check names itself when it fails; all of them run, and the script fails if one did.

kvctl=$1 hold=$2 has_sqlite=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
failures=0
folder=$(mktemp -d)
trap 'rm -rf "$folder"; [ $failures = 0 ] || exit 1' EXIT
cd "$folder"

fail() { # NAME MESSAGE...
  failures=$((failures + 1))
  printf 'FAILED: %s\n' "$1" >&2
  shift
  printf '  %s\n' "$@" >&2
}

is() { # NAME EXPECTED ACTUAL
  [ "$2" == "$3" ] || fail "$1" "expected: ${2:0:1000}" "got:      ${3:0:1000}"
}

# Runs a command; its output is in $out, its error output in $err.
ends_with() { # NAME STATUS COMMAND...
  local name=$1 expected=$2 status=0
  shift 2
  "$@" > "$folder/.out" 2> "$folder/.err" < "${input:-/dev/null}" || status=$?
  out=$(cat "$folder/.out") err=$(cat "$folder/.err")
  [ "$status" = "$expected" ] || fail "$name" "expected status $expected, got $status from: $*" "$err"
}

prints() { # NAME EXPECTED COMMAND...
  local name=$1 expected=$2
  shift 2
  ends_with "$name" 0 "$@"
  is "$name" "$expected" "$out"
}

complains() { # NAME STATUS TEXT COMMAND...
  local name=$1 status=$2 text=$3
  shift 3
  ends_with "$name" "$status" "$@"
  case $err in
    *"$text"*) ;;
    *) fail "$name" "expected an error with: $text" "got: $err" ;;
  esac
}

files() { find . -mindepth 1 ! -name '.out' ! -name '.err' | sort | tr '\n' ' '; }

needs() { # COMMAND...
  local tool
  for tool in "$@"; do
    command -v "$tool" > /dev/null || { echo "skipped for want of $tool"; exit 77; }
  done
}

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
