# Sourced by the tests of metrics_server, which get its path.

program=$1
source "$(dirname "${BASH_SOURCE[0]}")/../support/checks.bash"
needs curl jq
server=
trap 'kill_server; rm -rf "$folder"; [ $failures = 0 ] || exit 1' EXIT
unset METRICS_SERVER_TOKEN

# Starts it on a free port: $url and $port tell where, $server its process.
start() { # OPTION...
  local line=
  exec {server_out}< <(exec "$program" --port 0 "$@" 2> "$folder/.server-err")
  server=$!
  IFS= read -r -t 30 -u "$server_out" line
  announced=$line
  url=${line%%/ *}
  port=${url##*:}
  [[ $line == http://*" serves "* ]] || fail "start $*" "it printed: $line" "and: $(cat "$folder/.server-err")"
}

# Requires that it does not start, and why.
declines() { # NAME STATUS TEXT OPTION...
  complains "$1" "$2" "$3" timeout 30 "$program" "${@:4}"
}

# Ends it as a user would, and requires a status.
stop() { # NAME [STATUS] [SIGNAL]
  local status=0
  kill -s "${3:-TERM}" "$server"
  wait "$server" || status=$?
  is "$1" "${2:-0}" "$status"
  out=$(cat <&"$server_out") err=$(cat "$folder/.server-err")
  exec {server_out}<&-
  server=
}

kill_server() {
  [ -n "$server" ] || return
  kill -9 "$server"
  wait "$server"
  exec {server_out}<&-
  server=
}

# Sends a request and requires a status; the answer is in $body, its head in $head.
answers() { # NAME STATUS PATH CURL-ARGUMENT...
  local name=$1 expected=$2 path=$3 status
  shift 3
  : > "$folder/.body"
  status=$(curl -sS --max-time 60 --path-as-is -g -o "$folder/.body" -D "$folder/.head" -w '%{http_code}' "$@" \
    "$url$path" 2> "$folder/.curl")
  { body=$(< "$folder/.body") head=$(< "$folder/.head"); } 2> /dev/null # bash remarks on zero bytes
  head=${head//$'\r'/}
  [ "$status" = "$expected" ] ||
    fail "$name" "expected $expected, got $status from: $* $path" "$body" "$(< "$folder/.curl")"
}

# The same for a refusal, which explains itself.
refuses() { # NAME STATUS TEXT PATH CURL-ARGUMENT...
  local name=$1 expected=$2 text=$3 told
  shift 3
  answers "$name" "$expected" "$@"
  is "$name: its type" "application/problem+json" "$(header Content-Type)"
  told=$(jq -r '"\(.status) \(.detail)"' <<< "$body")
  [[ $told == "$expected "*"$text"* ]] || fail "$name" "expected a problem with: $text" "got: $body"
}

header() { # NAME
  local line
  while IFS= read -r line; do
    [[ ${line,,} != "${1,,}: "* ]] || printf '%s\n' "${line#*: }"
  done <<< "$head"
}

has() { # NAME EXPECTED JQ-FILTER
  is "$1" "$2" "$(jq -cr "$3" <<< "$body" 2>&1)"
}

json=(-H 'Content-Type: application/json')
merge=(-H 'Content-Type: application/merge-patch+json')
put() { # PATH JSON CURL-ARGUMENT...
  curl -sS --max-time 60 --path-as-is -g -X PUT "${json[@]}" -d "$2" "${@:3}" "$url$1"
}

# Sends bytes as they are, and prints what comes back.
raw() { # TEXT
  local connection
  exec {connection}<> "/dev/tcp/127.0.0.1/$port"
  printf '%b' "$1" >&"$connection"
  timeout 30 cat <&"$connection"
  exec {connection}>&-
}
