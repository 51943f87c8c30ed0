# Sourced by tests/run, examples/run and .ci/run. Installs missing tools, configures and builds, and prints each step.
# Needs bash with `set -euo pipefail`.

say() { printf '==> %s\n' "$*"; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Runs a command with its output in a log, and shows the log only if the command fails.
quietly() { # LOG COMMAND...
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  "$@" < /dev/null > "$log" 2>&1 && return
  tail -n 200 "$log" >&2
  die "this failed (all of its output is in $log): $*"
}

has_command() { command -v "$1" > /dev/null 2>&1; }

# A header counts as missing if it cannot be compiled, since a new system has no compiler either.
has_header() { echo "#include <$1>" | "${CXX:-c++}" -std=c++20 -E -x c++ - > /dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif [ -t 0 ]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

# Fetches the list of packages, once: a script that this one starts need not do so again.
update_packages() {
  [ -z "${KVSTORE_PACKAGES_ARE_LISTED:-}" ] || return 0
  quietly build/log/apt-update.txt as_root apt-get update
  export KVSTORE_PACKAGES_ARE_LISTED=yes
}

# Installs Debian or Ubuntu packages. On other systems, says how to get them.
install_packages() { # PACKAGE...
  has_command apt-get || die "these are missing: $*. They are named as Debian names them; install what your \
system calls them, and run this again."
  [ "$(id -u)" = 0 ] || has_command sudo || die "these packages are missing, and installing them needs root or \
sudo. Ask for: apt-get install $*"
  say "installing $*"
  update_packages
  quietly build/log/apt-install.txt as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
}

# Installs the packages of the missing commands and headers. Each argument is WHAT=PACKAGE. A WHAT that ends in .hpp is
# a header; without apt, CMake downloads headers.
need() { # WHAT=PACKAGE...
  local entry what missing=()
  for entry in "$@"; do
    what=${entry%%=*}
    case $what in
      *.h | *.hh | *.hpp) has_header "$what" || ! has_command apt-get || missing+=("${entry#*=}") ;;
      *) has_command "$what" || missing+=("${entry#*=}") ;;
    esac
  done
  [ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
}

# Installs servers that tests start for themselves, if possible. Without them, those tests are skipped. Stops the
# service that a package starts by itself.
need_servers() { # COMMAND=PACKAGE=SERVICE..., SERVICE empty if there is none
  local entry missing=() services=()
  for entry in "$@"; do
    has_command "${entry%%=*}" && continue
    entry=${entry#*=}
    missing+=("${entry%%=*}")
    [ -z "${entry#*=}" ] || services+=("${entry#*=}")
  done
  [ ${#missing[@]} != 0 ] || return 0
  if ! has_command apt-get; then
    say "these servers are missing, and their tests are skipped: ${missing[*]}"
    return 0
  fi
  install_packages "${missing[@]}"
  if [ -d /run/systemd/system ] && [ ${#services[@]} != 0 ]; then
    as_root systemctl disable --now "${services[@]}"
  fi
}

# Installs the dictionary of the spelling check, if possible. Without it, that check is skipped.
need_dictionary() {
  if has_command aspell && aspell dicts | grep -x en_GB-ise > /dev/null; then return; fi
  if has_command apt-get; then
    install_packages aspell aspell-en
  else
    say "aspell's English dictionary is missing, and the spelling is not checked"
  fi
}

# Installs a browser and its driver, if possible. Without them, the tests of a page are skipped.
need_browser() {
  has_command chromedriver && return
  if has_command apt-get && (update_packages) > /dev/null 2>&1 &&
    [ -n "$(apt-cache search --names-only '^chromium-driver$')" ]; then
    install_packages chromium chromium-driver
  else
    say "there is no package chromium-driver, and tests in a browser are skipped"
  fi
}

at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

need_build_tools() {
  need "${CXX:-c++}=g++" cmake=cmake ninja=ninja-build ccache=ccache git=git \
    nlohmann/json.hpp=nlohmann-json3-dev "$@"
  local have
  have=$(cmake --version | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p')
  at_least 3.24 "$have" || die "CMake $have is too old: 3.24 or newer is needed; see cmake.org/download"
  echo '#include <version>
    #if __cpp_lib_jthread < 201911L || __cpp_concepts < 201907L
    #error C++20
    #endif' | "${CXX:-c++}" -std=c++20 -fsyntax-only -x c++ - 2> /dev/null ||
    die "the compiler ${CXX:-c++} is too old: g++ 12 or clang 14, or newer, is needed; name one with CXX=..."
}

# Makes all checkouts of the same sources compile alike, so that they share one compiler cache.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=yes

# Configures and builds everything, or only `targets`. On a terminal, shows the progress of the build.
targets=()
configure_and_build() { # FOLDER CMAKE-ARGUMENT...
  local folder=$1
  shift
  say "configuring in $folder"
  quietly "$folder/configure.txt" cmake -S . -B "$folder" -G Ninja -DCMAKE_CXX_COMPILER_LAUNCHER=ccache "$@"
  say "building in $folder"
  if [ -t 1 ]; then
    cmake --build "$folder" ${targets[@]+--target "${targets[@]}"} < /dev/null
  else
    quietly "$folder/build.txt" cmake --build "$folder" ${targets[@]+--target "${targets[@]}"}
  fi
}

# Runs COMMAND ARGUMENT for each argument, in parallel on all processors. Fails if one of the commands fails.
for_each_at_once() { # COMMAND ARGUMENT...
  local command=$1 argument pids=() pid failed=0
  shift
  for argument; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
    "$command" "$argument" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  return $failed
}
