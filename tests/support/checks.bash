# Sourced by tests that run a program as a user would. Each test works in a temporary folder, which is removed at the
# end. A failing check prints its name. All checks run, and the script fails if any of them failed.

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

# Runs a command, and leaves its output in $out and its error output in $err.
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
